/* A front end of a few lines that answers every transaction with plausible codes: for tests of the
 * core that need no physics. */
#ifndef STUB_H
#define STUB_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint16_t x[2];   /* of the integrators */
    uint16_t inputs; /* reported with every response */
    uint16_t fault;  /* reported once, by the next pulses, reads, presets or ticks */
    uint16_t ticks_per_transaction;
    uint32_t transactions;
} stub_t;

size_t stub_exchange(void *stub, const uint8_t *request, size_t length, uint8_t *response,
                     size_t capacity);

#endif
