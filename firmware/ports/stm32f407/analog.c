#include "analog.h"

#include "board.h"
#include "pins.h"
#include "registers.h"
#include "system.h"

#define CONVERSION_NS   20000u /* 84 MHz / 4, 56 + 12 cycles: 3.3 us; this is more than enough */
#define RANDOM_TRIES    1000u
#define STROBE_NS       200u
#define SWITCHES_ALL    (SWITCH_PRESET_1 | SWITCH_PRESET_2 | SWITCH_INTEGRATE_1 | SWITCH_INTEGRATE_2)
#define PULSE_MARGIN_NS 100000u
#define OUTPUT          1u
#define ALTERNATE       2u
#define ANALOG          3u
#define HZ_PER_MHZ      1000000u
#define PULL_UP         1u
#define PULL_NS         20000u /* some ten time constants of a weak pull-up and 100 pF */

typedef struct {
    gpio_t *port;
    uint32_t pins;
    uint32_t high; /* those that idle high */
} output_t;

static const output_t OUTPUTS[] = OUTPUT_PINS;

static void set_mode(gpio_t *port, uint32_t number, uint32_t mode) {
    port->MODER = (port->MODER & ~(3u << (2u * number))) | mode << (2u * number);
}

static void init_pins(void) {
    for (uint32_t i = 0; i < sizeof OUTPUTS / sizeof OUTPUTS[0]; i++) {
        OUTPUTS[i].port->BSRR = OUTPUTS[i].high; /* before they are outputs */
        for (uint32_t number = 0; number < 16; number++) {
            if ((OUTPUTS[i].pins >> number & 1u) != 0) {
                set_mode(OUTPUTS[i].port, number, OUTPUT);
                OUTPUTS[i].port->OSPEEDR |= 2u << (2u * number);
            }
        }
    }
    /* A broken wire is an open interlock. */
    INTERLOCK_PORT.PUPDR |= PULL_UP << (2u * INTERLOCK_PIN);
    for (uint32_t number = 0; number < 4; number++) {
        set_mode(&GPIOC, number, ANALOG);
    }
    GPIOA.AFR[0] = (GPIOA.AFR[0] & ~15u) | 2u; /* PA0: TIM5 channel 1 */
    GPIOA.PUPDR |= 2u;                         /* low while nobody drives it */
    set_mode(&GPIOA, 0, ALTERNATE);
}

void analog_init(void) {
    init_pins();
    TIM5.CR1 = TIM_CR1_OPM;
    TIM5.PSC = 0;
    TIM5.CCMR1 = 7u << 4; /* PWM 2: high from CCR1 to ARR, then low again */
    TIM5.CCER = 1;
    ADC1.SMPR1 = 3u | 3u << 3 | 3u << 6 | 3u << 9; /* 56 cycles on inputs 10 to 13 */
    ADC1.CR2 = ADC_CR2_ADON;
    RNG.CR = RNG_CR_RNGEN;
}

void analog_select(uint8_t number, uint8_t value) {
    SELECT_PORT.BSRR = SELECT_LINES << 16 | (uint32_t)number << 8 | value;
    system_wait_ns(STROBE_NS);
    SELECT_PORT.BSRR = SELECT_STROBE;
    system_wait_ns(STROBE_NS);
    SELECT_PORT.BSRR = SELECT_STROBE << 16;
}

void analog_select_line(uint8_t number, uint16_t line) {
    if (BOARD_ROWS > 256u || BOARD_COLUMNS > 256u) {
        analog_select(SELECT_UPPER, (uint8_t)(line >> 8));
    }
    analog_select(number, (uint8_t)(line & 0xffu));
}

/* Opened before closed, in one write each: preset and integrate are never closed together. */
void analog_switches(uint32_t closed) {
    SWITCH_PORT.BSRR = (SWITCHES_ALL & ~closed) << 16;
    SWITCH_PORT.BSRR = closed;
}

bool analog_interlock_closed(void) {
    return (INTERLOCK_PORT.IDR & INTERLOCK) == 0;
}

/* The controller's own weak pull-up against the resistor on the board. */
static bool pull_holds(gpio_t *port, uint32_t number) {
    const uint32_t mode = port->MODER;
    const uint32_t pull = port->PUPDR;
    const uint32_t mask = 3u << (2u * number);
    port->PUPDR = (pull & ~mask) | PULL_UP << (2u * number);
    port->MODER = mode & ~mask;
    system_wait_ns(PULL_NS);
    const bool low = (port->IDR >> number & 1u) == 0;
    port->MODER = mode;
    port->PUPDR = pull;
    return low;
}

bool analog_pulls_hold(void) {
    static const struct {
        gpio_t *port;
        uint32_t pins;
    } HELD[] = PULL_DOWN_PINS;
    bool hold = true;
    for (uint32_t i = 0; i < sizeof HELD / sizeof HELD[0]; i++) {
        for (uint32_t number = 0; number < 16; number++) {
            if ((HELD[i].pins >> number & 1u) != 0) {
                hold = pull_holds(HELD[i].port, number) && hold;
            }
        }
    }
    return hold;
}

uint16_t analog_convert(uint8_t input, uint16_t *code) {
    ADC1.SQR1 = 0;
    ADC1.SQR3 = input;
    ADC1.SR = 0;
    ADC1.CR2 = ADC_CR2_ADON | ADC_CR2_SWSTART;
    const uint64_t give_up_ns = system_time_ns() + CONVERSION_NS;
    while ((ADC1.SR & ADC_SR_EOC) == 0 && !the_system.emulated) { /* QEMU sets no flag */
        if (system_time_ns() > give_up_ns) {
            return FAULT_ADC;
        }
    }
    *code = (uint16_t)(ADC1.DR & BOARD_CODE_MAX);
    return FAULT_NONE;
}

uint16_t analog_sum(uint8_t input, uint8_t samples, uint32_t *sum) {
    uint16_t fault = FAULT_NONE;
    *sum = 0;
    for (uint8_t i = 0; fault == FAULT_NONE && i < samples; i++) {
        uint16_t code = 0;
        system_wait_ns(BOARD_READ_NS);
        fault = analog_convert(input, &code);
        *sum += code;
    }
    return fault;
}

/* --- pulse ---------------------------------------------------------------------------------------
 */

void analog_pulse_off(void) {
    TIM5.CCER = 0; /* the pin falls back to its pull-down */
    TIM5.CR1 = TIM_CR1_OPM;
}

/* On silicon the counter stops at its end and sets the flag; QEMU's counts on past it without. */
static bool pulse_ended(void) {
    return (TIM5.SR & TIM_UIF) != 0 || TIM5.CNT > TIM5.ARR;
}

/* The width is rounded to cycles of the timer, 11.9 ns at 84 MHz. */
uint16_t analog_pulse(uint32_t width_ticks) {
    const uint64_t width_ns = (uint64_t)width_ticks * BOARD_WIDTH_TICK_NS;
    const uint64_t cycles = (width_ns * (the_system.apb1_timer_hz / HZ_PER_MHZ) + 500u) / 1000u;
    const uint64_t give_up_ns = system_time_ns() + width_ns + PULSE_MARGIN_NS;
    TIM5.CNT = 0;
    TIM5.CCR1 = 1;
    TIM5.ARR = (uint32_t)(cycles > 0 ? cycles : 1u);
    TIM5.SR = 0;
    TIM5.CCER = 1;
    TIM5.CR1 = TIM_CR1_OPM | TIM_CR1_CEN;
    while (!pulse_ended()) {
        if (system_time_ns() > give_up_ns) {
            analog_pulse_off();
            return FAULT_PULSE;
        }
    }
    analog_pulse_off();
    return FAULT_NONE;
}

/* --- random --------------------------------------------------------------------------------------
 */

bool analog_random_ready(void) {
    uint32_t word = 0;
    return analog_random(&word) == FAULT_NONE;
}

/* Health: the generator's own clock and seed checks, and no word twice in a row (FIPS
 * 140-2, 4.9.2). */
uint16_t analog_random(uint32_t *word) {
    static uint32_t last;
    for (uint32_t i = 0; i < RANDOM_TRIES; i++) {
        const uint32_t status = RNG.SR;
        if ((status & RNG_SR_ERRORS) != 0) {
            return FAULT_RANDOM;
        }
        if ((status & RNG_SR_DRDY) != 0) {
            *word = RNG.DR;
            const bool stuck = *word == last;
            last = *word;
            return stuck ? FAULT_RANDOM : FAULT_NONE;
        }
    }
    return FAULT_RANDOM;
}
