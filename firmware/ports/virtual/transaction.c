#include "transaction.h"

#include <string.h>

#include "bytes.h"

void transaction_begin(board_t *board, uint8_t op) {
    memset(board->request, 0, FRONT_END_REQUEST_HEAD);
    board->request[2] = op;
    put_u64(board->request + 4, board->time_ns);
    board->request_bytes = FRONT_END_REQUEST_HEAD;
}

void transaction_u8(board_t *board, uint8_t value) {
    board->request[board->request_bytes++] = value;
}

void transaction_u16(board_t *board, uint16_t value) {
    put_u16(board->request + board->request_bytes, value);
    board->request_bytes = (uint16_t)(board->request_bytes + 2u);
}

void transaction_u32(board_t *board, uint32_t value) {
    put_u32(board->request + board->request_bytes, value);
    board->request_bytes = (uint16_t)(board->request_bytes + 4u);
}

void transaction_u64(board_t *board, uint64_t value) {
    put_u64(board->request + board->request_bytes, value);
    board->request_bytes = (uint16_t)(board->request_bytes + 8u);
}

uint16_t transaction_finish(board_t *board, size_t wanted) {
    put_u16(board->request, (uint16_t)(board->request_bytes - 2u));
    const size_t length = board->exchange(board->context, board->request, board->request_bytes,
                                          board->response, sizeof board->response);
    if (length < FRONT_END_RESPONSE_HEAD || get_u16(board->response) != length - 2u) {
        return FAULT_LINE;
    }
    const uint16_t fault = get_u16(board->response + 2);
    board->late = (get_u16(board->response + 4) & INPUT_LATE) != 0;
    if (fault != FAULT_NONE) {
        return fault;
    }
    return length == FRONT_END_RESPONSE_HEAD + wanted ? FAULT_NONE : FAULT_LINE;
}

const uint8_t *transaction_body(const board_t *board) {
    return board->response + FRONT_END_RESPONSE_HEAD;
}
