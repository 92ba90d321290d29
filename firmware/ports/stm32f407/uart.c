#include "uart.h"

#include "registers.h"
#include "system.h"

#define RX_BYTES    4096u /* the window's frames, twice */
#define TX_BYTES    2048u
#define PATIENCE_NS UINT64_C(50000000) /* the whole ring at 921,600 baud is 22 ms */

static uint8_t rx[RX_BYTES];
static uint8_t tx[TX_BYTES];
static volatile uint16_t rx_in, rx_out, tx_in, tx_out;
static uart_counters_t counters;

void uart_init(uint32_t clock_hz, uint32_t baud) {
    GPIOA.AFR[1] |= 7u << 4 | 7u << 8;
    GPIOA.MODER |= 2u << 18 | 2u << 20;
    GPIOA.PUPDR |= 1u << 20;
    USART1.BRR = (clock_hz + baud / 2u) / baud;
    USART1.CR1 = USART_CR1_UE | USART_CR1_RE | USART_CR1_TE | USART_CR1_RXNEIE;
    NVIC_ISER[IRQ_USART1 / 32] = 1u << (IRQ_USART1 % 32);
}

void uart_interrupt(void);
void uart_interrupt(void) {
    const uint32_t status = USART1.SR;
    if ((status & (USART_SR_RXNE | USART_SR_ORE)) != 0) {
        const uint8_t byte = (uint8_t)USART1.DR;
        const uint16_t next = (uint16_t)((rx_in + 1u) % RX_BYTES);
        counters.overruns += (status & USART_SR_ORE) != 0;
        if (next == rx_out) {
            counters.ring_full++;
        } else {
            rx[rx_in] = byte;
            rx_in = next;
        }
    }
    if ((USART1.CR1 & USART_CR1_TXEIE) != 0) {
        uart_pump();
    }
}

size_t uart_received(const uint8_t **data) {
    const uint16_t in = rx_in;
    *data = rx + rx_out;
    return in >= rx_out ? (size_t)(in - rx_out) : RX_BYTES - rx_out;
}

void uart_taken(size_t length) {
    rx_out = (uint16_t)((rx_out + length) % RX_BYTES);
}

/* Called from the main loop and from the interrupt, so the interrupt is kept out. */
void uart_pump(void) {
    uint32_t masked;
    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(masked)::"memory");
    while (tx_out != tx_in && (USART1.SR & USART_SR_TXE) != 0) {
        USART1.DR = tx[tx_out];
        tx_out = (uint16_t)((tx_out + 1u) % TX_BYTES);
    }
    if (tx_out == tx_in) {
        USART1.CR1 &= ~(uint32_t)USART_CR1_TXEIE;
    } else {
        USART1.CR1 |= USART_CR1_TXEIE;
    }
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
}

static size_t room(void) {
    return (size_t)(tx_out + TX_BYTES - tx_in - 1u) % TX_BYTES;
}

void uart_send(const uint8_t *frame, size_t length) {
    const uint64_t give_up_ns = system_time_ns() + PATIENCE_NS;
    while (room() < length) {
        uart_pump();
        if (system_time_ns() > give_up_ns) {
            counters.unsent++;
            return;
        }
    }
    uint16_t in = tx_in;
    for (size_t i = 0; i < length; i++) {
        tx[in] = frame[i];
        in = (uint16_t)((in + 1u) % TX_BYTES);
    }
    tx_in = in;
    uart_pump();
}

bool uart_idle(void) {
    return rx_in == rx_out && tx_in == tx_out;
}

const uart_counters_t *uart_counters(void) {
    return &counters;
}
