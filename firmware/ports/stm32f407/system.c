#include "system.h"

#include "registers.h"

#define HSI_HZ       16000000u
#define PLL_HZ       168000000u
#define CLOCK_TRIES  200000u /* each a few cycles of 16 MHz: some 50 ms, a crystal takes 2 */
#define IDLE_HZ      100u
#define TICK_MAX     0x1000000u /* 24 bits */
#define HZ_PER_MHZ   1000000u
#define QEMU_TIM_HZ  1000000000u            /* QEMU's TIM2 and TIM5 have a clock of their own */
#define PLL_N_P_Q    (336u << 6 | 7u << 24) /* 1 MHz * 336 / 2 = 168 MHz, / 7 = 48 MHz */
#define PLL_FROM_HSE (1u << 22 | 8u)
#define PLL_FROM_HSI 16u
#define AHB_APB      (5u << 10 | 4u << 13) /* APB1 / 4, APB2 / 2 */
#define SWITCH_PLL   2u
#define SWITCH_MASK  3u
#define LOCK_LEVEL   0x10u /* BASEPRI: priority 1 and below */

enum { IWDG_UNLOCK = 0x5555, IWDG_START = 0xCCCC, IWDG_FEED = 0xAAAA };

system_t the_system;
static uint32_t count_high; /* of the free-running timer */
static uint32_t count_last;
static uint32_t tick_parts; /* interrupts per tick; 0 is no run */
static uint32_t tick_part;

/* Ready bits never come in QEMU, and not with a broken crystal: every wait is bounded. */
static bool wait_for(const reg_t *where, uint32_t mask, uint32_t wanted) {
    const uint32_t tries = the_system.emulated ? 1u : CLOCK_TRIES;
    for (uint32_t i = 0; i < tries; i++) {
        if ((*where & mask) == wanted) {
            return true;
        }
    }
    return false;
}

static uint8_t start_clocks(void) {
    uint8_t flags = 0;
    RCC.CR |= RCC_CR_HSEON;
    const bool crystal = wait_for(&RCC.CR, RCC_CR_HSERDY, RCC_CR_HSERDY);
    flags |= crystal ? CLOCK_HSE : 0;
    RCC.PLLCFGR = PLL_N_P_Q | (crystal ? PLL_FROM_HSE : PLL_FROM_HSI);
    RCC.CR |= RCC_CR_PLLON;
    if (!wait_for(&RCC.CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY)) {
        return flags;
    }
    flags |= CLOCK_PLL;
    FLASH.ACR = 5u | 7u << 8; /* wait states of 168 MHz, caches and prefetch on */
    RCC.CFGR = AHB_APB;
    RCC.CFGR = AHB_APB | SWITCH_PLL;
    if (wait_for(&RCC.CFGR, SWITCH_MASK << 2, SWITCH_PLL << 2)) {
        flags |= CLOCK_SWITCHED;
    }
    return flags;
}

/* TIM2 counts all the time; SysTick interrupts. */
static void start_time(void) {
    TIM2.PSC = 0;
    TIM2.ARR = UINT32_MAX;
    TIM2.EGR = 1;
    TIM2.CR1 = TIM_CR1_CEN;
    system_tick_stop();
    SYSTICK.CTRL = 7; /* core clock, interrupt, on */
}

void system_init(void) {
    the_system.emulated = DBGMCU_IDCODE == 0;
    the_system.watchdog_reset = (RCC.CSR & RCC_CSR_IWDGRSTF) != 0;
    RCC.CSR |= RCC_CSR_RMVF;
    the_system.clock_flags = start_clocks();
    const bool fast = the_system.emulated || (the_system.clock_flags & CLOCK_SWITCHED) != 0;
    the_system.core_hz = fast ? PLL_HZ : HSI_HZ;
    the_system.apb1_timer_hz = fast ? PLL_HZ / 2u : HSI_HZ;
    if (the_system.emulated) {
        the_system.apb1_timer_hz = QEMU_TIM_HZ;
    }
    the_system.apb2_hz = fast ? PLL_HZ / 2u : HSI_HZ;
    RCC.AHB1ENR |= 0x7fu;             /* GPIOA to G */
    RCC.AHB2ENR |= 1u << 6;           /* RNG */
    RCC.APB1ENR |= 1u << 0 | 1u << 3; /* TIM2, TIM5 */
    RCC.APB2ENR |= 1u << 4 | 1u << 8; /* USART1, ADC1 */
    SCB_SHPR[14 - 4] = 0xf0;          /* PendSV: below everything */
    SCB_SHPR[15 - 4] = LOCK_LEVEL;    /* SysTick */
    NVIC_IPR[IRQ_USART1] = 0x00;
    start_time();
}

/* Every look extends the counter, so there has to be one within 4 s; the main loop looks every 10
 * ms. */
static uint64_t count(void) {
    uint32_t masked;
    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(masked)::"memory");
    const uint32_t now = TIM2.CNT;
    count_high += now < count_last;
    count_last = now;
    const uint64_t whole = (uint64_t)count_high << 32 | now;
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
    return whole;
}

uint64_t system_time_ns(void) {
    return count() * 1000u / (the_system.apb1_timer_hz / HZ_PER_MHZ);
}

/* SysTick takes a new length over when it next reaches zero, or at once when its count is written.
 */
void system_tick_start(uint32_t first_us, uint32_t period_us) {
    const uint32_t cycles_per_us = the_system.core_hz / HZ_PER_MHZ;
    const uint64_t period = (uint64_t)period_us * cycles_per_us;
    const uint32_t lock = system_lock();
    tick_parts = (uint32_t)((period + TICK_MAX - 1u) / TICK_MAX);
    tick_part = 0;
    SYSTICK.LOAD = first_us * cycles_per_us - 1u;
    SYSTICK.VAL = 0;
    (void)SYSTICK.VAL;
    SYSTICK.LOAD = (uint32_t)(period / tick_parts) - 1u;
    system_unlock(lock);
}

void system_tick_stop(void) {
    tick_parts = 0;
    SYSTICK.LOAD = the_system.core_hz / IDLE_HZ - 1u;
    SYSTICK.VAL = 0;
}

/* The first interrupt after the start is a tick, then every last part. */
bool system_tick_due(void) {
    if (tick_parts == 0) {
        return false;
    }
    const bool due = tick_part == 0;
    tick_part = (tick_part + 1u) % tick_parts;
    return due;
}

void system_wait_ns(uint32_t duration_ns) {
    const uint64_t end = system_time_ns() + duration_ns;
    while (system_time_ns() < end) {
    }
}

uint32_t system_lock(void) {
    uint32_t before;
    __asm volatile("mrs %0, basepri" : "=r"(before));
    __asm volatile("msr basepri_max, %0" ::"r"(LOCK_LEVEL) : "memory");
    return before;
}

void system_unlock(uint32_t state) {
    __asm volatile("msr basepri, %0" ::"r"(state) : "memory");
}

void system_watchdog_start(void) {
    IWDG.KR = IWDG_UNLOCK;
    IWDG.PR = 3; /* 32 kHz / 32 */
    IWDG.RLR = 1000;
    (void)wait_for(&IWDG.SR, 3, 0);
    IWDG.KR = IWDG_FEED;
    IWDG.KR = IWDG_START;
}

void system_watchdog_feed(void) {
    IWDG.KR = IWDG_FEED;
}

uint64_t system_serial(void) {
    if (the_system.emulated) {
        return 0;
    }
    return (uint64_t)(UID_WORDS[2] ^ UID_WORDS[1]) << 32 | UID_WORDS[0];
}

void system_reset(void) {
    SCB_AIRCR = 0x05FA0004u;
    for (;;) {
    }
}
