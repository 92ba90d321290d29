#include "stub.h"

#include "bytes.h"
#include "virtual_board.h"

#define SERIAL 0x51u

/* Answers with `count` values of `size` bytes that depend on their number alone. */
static size_t values(uint8_t *body, size_t count, size_t size) {
    for (size_t i = 0; i < count; i++) {
        const uint16_t value = (uint16_t)((100u + 37u * i) & BOARD_CODE_MAX);
        if (size == 2) {
            put_u16(body + 2 * i, value);
        } else {
            put_u32(body + 4 * i, value);
        }
    }
    return count * size;
}

static size_t open(const stub_t *stub, uint8_t *body) {
    put_u64(body, SERIAL);
    put_u64(body + 8, 0);
    put_u16(body + 16, stub->ticks_per_transaction);
    put_u16(body + 18, 0);
    return 20;
}

/* Each tick takes both integrators one code up. */
static size_t ticks(stub_t *stub, const uint8_t *asked, uint8_t *body) {
    for (size_t axis = 0; axis < 2; axis++) {
        stub->x[axis] = (uint16_t)((stub->x[axis] + get_u16(asked + 2)) & BOARD_CODE_MAX);
        put_u16(body + 2 * axis, stub->x[axis]);
    }
    return asked[4] != 0 ? 4 : 0;
}

static size_t answer(stub_t *stub, uint8_t op, const uint8_t *asked, uint8_t *body) {
    switch (op) {
    case FRONT_END_OPEN:
        return open(stub, body);
    case FRONT_END_PULSE_READ:
        return values(body, get_u16(asked + 2), 2);
    case FRONT_END_READ:
    case FRONT_END_LOOPBACK:
    case FRONT_END_REFERENCE:
    case FRONT_END_LINES:
        return values(body, get_u16(asked + 4), 4);
    case FRONT_END_MULTIPLY:
        return values(body, (size_t)get_u16(asked + 6) * get_u16(asked + 10), 2);
    case FRONT_END_PROBE:
        return values(body, FW_PROBES, 4);
    case FRONT_END_RUN:
        put_u64(body, 7);
        return 8;
    case FRONT_END_PRESET:
        stub->x[0] = get_u16(asked + 4);
        stub->x[1] = get_u16(asked + 6);
        return 0;
    case FRONT_END_TICKS:
        return ticks(stub, asked, body);
    default:
        return 0;
    }
}

size_t stub_exchange(void *context, const uint8_t *request, size_t length, uint8_t *response,
                     size_t capacity) {
    stub_t *stub = context;
    (void)length;
    (void)capacity;
    const uint8_t op = request[2];
    uint8_t *body = response + FRONT_END_RESPONSE_HEAD;
    size_t bytes = 0;
    uint16_t fault = 0;
    stub->transactions++;
    if (op >= FRONT_END_PULSE_READ && op != FRONT_END_RUN_END) {
        fault = stub->fault;
        stub->fault = 0;
    }
    if (fault == 0) {
        bytes = answer(stub, op, request + FRONT_END_REQUEST_HEAD, body);
    }
    put_u16(response, (uint16_t)(FRONT_END_RESPONSE_HEAD - 2u + bytes));
    put_u16(response + 2, fault);
    put_u16(response + 4, stub->inputs);
    return FRONT_END_RESPONSE_HEAD + bytes;
}
