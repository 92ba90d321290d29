/* Little-endian numbers in byte buffers. */
#ifndef BYTES_H
#define BYTES_H

#include <stdint.h>

static inline uint8_t get_u8(const uint8_t *p) {
    return p[0];
}

static inline uint16_t get_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | ((uint16_t)p[1] << 8));
}

static inline uint32_t get_u32(const uint8_t *p) {
    return (uint32_t)get_u16(p) | ((uint32_t)get_u16(p + 2) << 16);
}

static inline uint64_t get_u64(const uint8_t *p) {
    return (uint64_t)get_u32(p) | ((uint64_t)get_u32(p + 4) << 32);
}

static inline void put_u8(uint8_t *p, uint8_t value) {
    p[0] = value;
}

static inline void put_u16(uint8_t *p, uint16_t value) {
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void put_u32(uint8_t *p, uint32_t value) {
    put_u16(p, (uint16_t)value);
    put_u16(p + 2, (uint16_t)(value >> 16));
}

static inline void put_u64(uint8_t *p, uint64_t value) {
    put_u32(p, (uint32_t)value);
    put_u32(p + 4, (uint32_t)(value >> 32));
}

/* The largest figure that the 32 signed bits of a refusal can hold stands for everything above. */
static inline int32_t clamp_i32(uint64_t value) {
    return value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

#endif
