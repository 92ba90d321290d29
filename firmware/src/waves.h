/* The store of a run's waveforms: begun, loaded in any order, checked by CRC, committed. */
#ifndef WAVES_H
#define WAVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bits.h"
#include "capacity.h"
#include "check.h"

typedef struct {
    uint16_t drift;
    uint16_t score;
    uint16_t noise; /* codes per standard deviation */
    uint16_t offset[2];
    uint16_t embedding[FW_EMBEDDINGS];
} wave_t;

typedef struct {
    bool committed;
    uint16_t ticks; /* 0: not begun */
    uint32_t tick_us;
    int16_t class_offset[FW_EMBEDDINGS];
    uint8_t loaded[BITS_BYTES(FW_TICKS_MAX)]; /* one bit per tick */
    wave_t waves[FW_TICKS_MAX];
} waves_t;

/* Empties the store. */
void waves_begin(waves_t *store, uint16_t ticks, uint32_t tick_us);

/* Handlers of the messages; each gives the length of its answer. */
size_t waves_load(waves_t *store, const request_t *request, uint8_t *out);
size_t waves_class(waves_t *store, const request_t *request, uint8_t *out);
size_t waves_commit(waves_t *store, uint32_t announced, uint8_t *out);

/* Embedding code of one tick with the class offset added; in range, because that was checked. */
uint16_t waves_embedding(const waves_t *store, uint16_t tick, uint8_t channel);

#endif
