#include "waves.h"

#include <string.h>

#include "crc32.h"

#define EMBEDDING_FIELD 4u

static bool all_loaded(const waves_t *store) {
    for (uint16_t tick = 0; tick < store->ticks; tick++) {
        if (!bit_get(store->loaded, tick)) {
            return false;
        }
    }
    return true;
}

void waves_begin(waves_t *store, uint16_t ticks, uint32_t tick_us) {
    memset(store, 0, sizeof *store);
    store->ticks = ticks;
    store->tick_us = tick_us;
}

/* A class offset must not take a channel out of its converter's range: refused where they meet. */
static size_t check_embedding(const uint16_t *codes, const int16_t *offsets, uint8_t field,
                              uint16_t entry, uint8_t *out) {
    for (uint8_t i = 0; i < FW_EMBEDDINGS; i++) {
        const int32_t code = (int32_t)codes[i] + offsets[i];
        if (code < 0 || code > (int32_t)BOARD_CODE_MAX) {
            return status_out_of_range(out, field, entry, code, 0, (int32_t)BOARD_CODE_MAX);
        }
    }
    return 0;
}

static void unpack(const request_t *request, uint16_t number, wave_t *wave) {
    wave_load_request_entry_t entry;
    wave_load_request_entry_unpack(request_entry(request, number), &entry);
    wave->drift = entry.drift;
    wave->score = entry.score;
    wave->noise = entry.noise;
    memcpy(wave->offset, entry.offset, sizeof wave->offset);
    memcpy(wave->embedding, entry.embedding, sizeof wave->embedding);
}

size_t waves_load(waves_t *store, const request_t *request, uint8_t *out) {
    wave_load_request_t head;
    wave_load_request_unpack(request->payload, &head);
    const uint16_t count = request->entries;
    if (store->ticks == 0) {
        return status_not_ready(out, PART_WAVEFORMS);
    }
    if ((uint32_t)head.first + count > store->ticks) {
        const uint16_t last = count < store->ticks ? (uint16_t)(store->ticks - count) : 0;
        return status_out_of_range(out, 0, 0, head.first, 0, last);
    }
    wave_t wave;
    for (uint16_t i = 0; i < count; i++) {
        unpack(request, i, &wave);
        const size_t refused =
            check_embedding(wave.embedding, store->class_offset, EMBEDDING_FIELD, i, out);
        if (refused != 0) {
            return refused;
        }
    }
    for (uint16_t i = 0; i < count; i++) {
        const uint16_t tick = (uint16_t)(head.first + i);
        unpack(request, i, &store->waves[tick]);
        bit_set(store->loaded, tick);
    }
    store->committed = false;
    out[0] = STATUS_OK;
    return 1;
}

size_t waves_class(waves_t *store, const request_t *request, uint8_t *out) {
    wave_class_request_t head;
    wave_class_request_unpack(request->payload, &head);
    if (store->ticks == 0) {
        return status_not_ready(out, PART_WAVEFORMS);
    }
    for (uint16_t tick = 0; tick < store->ticks; tick++) {
        if (bit_get(store->loaded, tick)) {
            const size_t refused =
                check_embedding(store->waves[tick].embedding, head.offset, 0, tick, out);
            if (refused != 0) {
                return refused;
            }
        }
    }
    memcpy(store->class_offset, head.offset, sizeof store->class_offset);
    store->committed = false;
    out[0] = STATUS_OK;
    return 1;
}

/* The CRC is that of the records as they were sent. */
static uint32_t crc_of_wave(uint32_t crc, const wave_t *wave) {
    uint8_t record[WAVE_LOAD_REQUEST_ENTRY_BYTES];
    put_u16(record, wave->drift);
    put_u16(record + 2, wave->score);
    put_u16(record + 4, wave->noise);
    put_u16(record + 6, wave->offset[0]);
    put_u16(record + 8, wave->offset[1]);
    for (size_t i = 0; i < FW_EMBEDDINGS; i++) {
        put_u16(record + 10 + 2 * i, wave->embedding[i]);
    }
    return crc32_update(crc, record, sizeof record);
}

size_t waves_commit(waves_t *store, uint32_t announced, uint8_t *out) {
    if (store->ticks == 0 || !all_loaded(store)) {
        return status_not_ready(out, PART_WAVEFORMS);
    }
    uint32_t crc = 0;
    for (uint16_t tick = 0; tick < store->ticks; tick++) {
        crc = crc_of_wave(crc, &store->waves[tick]);
    }
    for (size_t i = 0; i < FW_EMBEDDINGS; i++) {
        uint8_t offset[2];
        put_u16(offset, (uint16_t)store->class_offset[i]);
        crc = crc32_update(crc, offset, sizeof offset);
    }
    if (crc != announced) {
        return status_crc_mismatch(out, announced, crc);
    }
    store->committed = true;
    out[0] = STATUS_OK;
    return 1;
}

uint16_t waves_embedding(const waves_t *store, uint16_t tick, uint8_t channel) {
    return (uint16_t)(store->waves[tick].embedding[channel] + store->class_offset[channel]);
}
