/* Clocks, time and what else belongs to the core of the chip. */
#ifndef SYSTEM_H
#define SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

/* What of the clock tree came up. On a board all three; QEMU has no RCC and shows none. */
enum { CLOCK_HSE = 1, CLOCK_PLL = 2, CLOCK_SWITCHED = 4, CLOCK_ALL = 7 };

typedef struct {
    uint32_t core_hz;
    uint32_t apb1_timer_hz; /* TIM2, TIM5 */
    uint32_t apb2_hz;       /* USART1 */
    uint8_t clock_flags;
    bool emulated;       /* no debug unit answers: this is QEMU */
    bool watchdog_reset; /* the independent watchdog has bitten before this start */
} system_t;

extern system_t the_system;

/* 168 MHz from the 8 MHz crystal; without it from the internal oscillator; without the PLL 16 MHz.
 */
void system_init(void);

/* Time since start. */
uint64_t system_time_ns(void);

/* Waits by the free-running timer; may be used with interrupts masked. */
void system_wait_ns(uint32_t duration_ns);

/* SysTick: every 10 ms, to look after time-outs; while a run solves, at its ticks. The first comes
 * after `first_us` (at most 99 ms), the others every `period_us`, without a gap in between. */
void system_tick_start(uint32_t first_us, uint32_t period_us);
void system_tick_stop(void);

/* From SysTick's interrupt: whether this is a tick of a run. */
bool system_tick_due(void);

/* Masks everything but the USART, which has one byte of patience. */
uint32_t system_lock(void);
void system_unlock(uint32_t state);

/* Independent watchdog: about one second. */
void system_watchdog_start(void);
void system_watchdog_feed(void);

/* The 96-bit unique id, folded; 0 under emulation, where it cannot be read. */
uint64_t system_serial(void);

void system_reset(void);

#endif
