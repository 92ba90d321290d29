/* One transaction with the front end: a request that is put together, sent and answered. */
#ifndef TRANSACTION_H
#define TRANSACTION_H

#include "virtual_board.h"

void transaction_begin(board_t *board, uint8_t op);
void transaction_u8(board_t *board, uint8_t value);
void transaction_u16(board_t *board, uint16_t value);
void transaction_u32(board_t *board, uint32_t value);
void transaction_u64(board_t *board, uint64_t value);

/* Sends what was begun. The response's body has to have `wanted` bytes; a fault number. */
uint16_t transaction_finish(board_t *board, size_t wanted);

/* Of the last response. */
const uint8_t *transaction_body(const board_t *board);

#endif
