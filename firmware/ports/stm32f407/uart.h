/* USART1 on PA9 and PA10, 8N1, with a ring in each direction. */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t overruns;  /* bytes that the USART lost */
    uint32_t ring_full; /* bytes that found no room */
    uint32_t unsent;    /* frames that found no room; the host asks again */
} uart_counters_t;

void uart_init(uint32_t clock_hz, uint32_t baud);

/* Received bytes in one piece, up to the end of the ring; uart_taken gives them back. */
size_t uart_received(const uint8_t **data);
void uart_taken(size_t length);

/* Queues a frame. A full ring is waited for as long as the line needs for it. */
void uart_send(const uint8_t *frame, size_t length);

/* Sends what the transmitter will take. Its interrupt does the same, where there is one. */
void uart_pump(void);

/* Nothing to take, nothing to send. */
bool uart_idle(void);

const uart_counters_t *uart_counters(void);

#endif
