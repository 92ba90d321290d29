#include "cobs.h"

size_t cobs_encode(const uint8_t *data, size_t length, uint8_t *out) {
    size_t code_at = 0;
    size_t at = 1;
    uint8_t code = 1;
    for (size_t i = 0; i < length; i++) {
        if (data[i] != 0) {
            out[at++] = data[i];
            code++;
        }
        if (data[i] == 0 || (code == 0xff && i + 1 < length)) {
            out[code_at] = code;
            code_at = at++;
            code = 1;
        }
    }
    out[code_at] = code;
    return at;
}

bool cobs_decode(uint8_t *data, size_t length, size_t *decoded) {
    size_t from = 0;
    size_t to = 0;
    while (from < length) {
        const uint8_t code = data[from++];
        if (code == 0 || (size_t)(code - 1) > length - from) {
            return false;
        }
        for (uint8_t i = 1; i < code; i++) {
            data[to++] = data[from++];
        }
        if (code != 0xff && from < length) {
            data[to++] = 0;
        }
    }
    *decoded = to;
    return true;
}
