/* The main loop of both images. */
#include "image.h"
#include "registers.h"
#include "system.h"
#include "uart.h"

#ifndef UART_BAUD
#define UART_BAUD BOARD_BAUD
#endif

#define POLL_NS 9000000u /* a little less than a period of SysTick */

/* 96 KiB of memory, without the stack, the line's buffers and what a board keeps for itself. */
#define FW_BYTES_MAX 86016u

_Static_assert(sizeof(fw_t) <= FW_BYTES_MAX,
               "this board description has more cells than the memory of an STM32F407 can count "
               "pulses for (128 x 128 fit): build it for the host, or describe fewer");

static fw_t firmware;
static volatile bool woken; /* by SysTick */

void systick_interrupt(void);
void pend_interrupt(void);
void fault_interrupt(void);

void systick_interrupt(void) {
    woken = true;
    if (system_tick_due()) {
        image_tick(&firmware);
    }
}

void pend_interrupt(void) {
    image_pend(&firmware);
}

/* Nothing is trusted any more: outputs off, then from the start. The host finds its session gone.
 */
void fault_interrupt(void) {
    image_emergency();
    system_reset();
}

/* Sleeps unless something has come between the last look and now. */
static void rest(void) {
    __asm volatile("cpsid i" ::: "memory");
    if (uart_idle() && !fw_pending(&firmware) && !woken) {
        __asm volatile("dsb\n wfi");
    }
    __asm volatile("cpsie i" ::: "memory");
}

int main(void) {
    system_init();
    uart_init(the_system.apb2_hz, UART_BAUD);
    fw_init(&firmware, image_board());
    if (image_start_fault()) {
        fw_make_safe(&firmware, SAFE_REASON_FAULT);
    }
    system_watchdog_start();
    uint64_t next_poll_ns = 0;
    for (;;) {
        const uint8_t *data = NULL;
        const size_t length = uart_received(&data);
        if (length > 0) {
            uart_taken(fw_receive(&firmware, data, length));
        }
        fw_step(&firmware);
        uart_pump();
        woken = false;
        const uint64_t now_ns = system_time_ns();
        if (now_ns >= next_poll_ns) {
            next_poll_ns = now_ns + POLL_NS;
            image_poll(&firmware);
            system_watchdog_feed();
        }
        rest();
    }
}
