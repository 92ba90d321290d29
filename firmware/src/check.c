#include "check.h"

#include <stdbool.h>

const msg_info_t *check_code(uint8_t code) {
    for (size_t i = 0; i < MSG_COUNT; i++) {
        if (MSG_TABLE[i].code == code) {
            return &MSG_TABLE[i];
        }
    }
    return NULL;
}

static int64_t value_at(const msg_range_t *range, const uint8_t *p) {
    switch (range->size) {
    case 1:
        return p[0];
    case 2:
        return range->minimum < 0 ? (int16_t)get_u16(p) : get_u16(p);
    case 4:
        return get_u32(p);
    default:
        return clamp_i32(get_u64(p));
    }
}

/* A maximum of all ones is the type's own and cannot be missed. */
static bool inside(const msg_range_t *range, int64_t value) {
    return value >= range->minimum && (range->maximum == UINT32_MAX || value <= range->maximum);
}

static size_t check_ranges(const msg_range_t *range, uint8_t count, const uint8_t *record,
                           uint16_t entry, uint8_t *out) {
    for (; count > 0; count--, range++) {
        for (uint8_t i = 0; i < range->count; i++) {
            const int64_t value = value_at(range, record + range->offset + i * range->size);
            if (!inside(range, value)) {
                const int32_t shown = value < 0 ? (int32_t)value : clamp_i32((uint64_t)value);
                return status_out_of_range(out, range->field, entry, shown, range->minimum,
                                           clamp_i32(range->maximum));
            }
        }
    }
    return 0;
}

/* How many entries there are; -1 when the payload ends inside one, or has no room for the fields.
 */
static int entries_of(const msg_info_t *info, size_t length) {
    if (length < info->head_bytes) {
        return -1;
    }
    const size_t rest = length - info->head_bytes;
    if (info->entry_bytes == 0) {
        return rest == 0 ? 0 : -1;
    }
    return rest % info->entry_bytes == 0 ? (int)(rest / info->entry_bytes) : -1;
}

/* The next longer length that would be right. */
static uint16_t expected_length(const msg_info_t *info, size_t length) {
    if (length < info->head_bytes || info->entry_bytes == 0) {
        return info->head_bytes;
    }
    const size_t whole = (length - info->head_bytes) / info->entry_bytes;
    return (uint16_t)(info->head_bytes + (whole + 1u) * info->entry_bytes);
}

size_t check_payload(const msg_info_t *info, const uint8_t *payload, size_t length, uint8_t *out,
                     request_t *request) {
    if (length > MSG_PAYLOAD_BYTES) {
        return status_bad_length(out, (uint16_t)length, MSG_PAYLOAD_BYTES);
    }
    const int entries = entries_of(info, length);
    if (entries < 0) {
        return status_bad_length(out, (uint16_t)length, expected_length(info, length));
    }
    request->info = info;
    request->payload = payload;
    request->entries = (uint16_t)entries;
    const msg_range_t *range = MSG_RANGES + info->first_range;
    size_t refused = check_ranges(range, info->head_ranges, payload, 0, out);
    for (uint16_t i = 0; refused == 0 && i < request->entries; i++) {
        refused = check_ranges(range + info->head_ranges, info->entry_ranges,
                               request_entry(request, i), i, out);
    }
    return refused;
}
