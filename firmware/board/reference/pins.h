/* Generated from firmware/board/reference.yaml, wiring reference, by protocols.codegen; do not edit. */
/* clang-format off */
#ifndef PINS_H
#define PINS_H

#include "dac_pins.h"

#define DAC_COUNT 10u
#define DAC_PORTS 1u
#define DAC_WRITE 0x0000u
#define DAC_LOAD 0x4000u
#define DAC_UPDATE 0xe000u
#define DAC_POWER_UP 0xf010u
#define DAC_ALL 0x03ffu
#define DAC_SPI_SET 0x03ffu
/* Those with words of a tick. */
#define DAC_LOOP_SET 0x010fu
#define DAC_SPI_TABLE {{0, 3, 6, 10, 12, &GPIOC, &GPIOC}, {1, 3, 6, 10, 12, &GPIOC, &GPIOC}, {2, 3, 6, 10, 12, &GPIOC, &GPIOC}, {3, 3, 6, 10, 12, &GPIOC, &GPIOC}, {4, 2, 5, 13, 15, &GPIOB, &GPIOB}, {5, 2, 5, 13, 15, &GPIOB, &GPIOB}, {6, 2, 5, 13, 15, &GPIOB, &GPIOB}, {7, 2, 5, 13, 15, &GPIOB, &GPIOB}, {8, 3, 6, 10, 12, &GPIOC, &GPIOC}, {9, 2, 5, 13, 15, &GPIOB, &GPIOB}, {0, 0, 0, 0, 0, 0, 0}}
#define DAC_BUSES 2u
#define DAC_BUS_TABLE {{2, 0x02f0u}, {3, 0x010fu}, {0, 0}}

#define DAC_PORT_REGISTERS {&GPIOE}
#define DAC_PIN_TABLE { \
    {{0, 0}, {0, 0}, {0, 0}}, \
    {{0, 0}, {0, 1}, {0, 0}}, \
    {{0, 0}, {0, 2}, {0, 0}}, \
    {{0, 0}, {0, 3}, {0, 0}}, \
    {{0, 0}, {0, 4}, {0, 0}}, \
    {{0, 0}, {0, 5}, {0, 0}}, \
    {{0, 0}, {0, 6}, {0, 0}}, \
    {{0, 0}, {0, 7}, {0, 0}}, \
    {{0, 0}, {0, 8}, {0, 0}}, \
    {{0, 0}, {0, 9}, {0, 0}}, \
}

/* Where the words of a tick go: DAC, channel. */
#define WORD_CHANNELS { \
    {8, 1}, /* drift */ \
    {8, 0}, /* score */ \
    {8, 2}, /* noise 1 */ \
    {8, 3}, /* noise 2 */ \
    {0, 0}, /* embedding 1 */ \
    {0, 1}, /* embedding 2 */ \
    {0, 2}, /* embedding 3 */ \
    {0, 3}, /* embedding 4 */ \
    {1, 0}, /* embedding 5 */ \
    {1, 1}, /* embedding 6 */ \
    {1, 2}, /* embedding 7 */ \
    {1, 3}, /* embedding 8 */ \
    {2, 0}, /* embedding 9 */ \
    {2, 1}, /* embedding 10 */ \
    {2, 2}, /* embedding 11 */ \
    {2, 3}, /* embedding 12 */ \
    {3, 0}, /* embedding 13 */ \
    {3, 1}, /* embedding 14 */ \
}

#define CHANNEL_INITIAL_1 {3, 2}
#define CHANNEL_INITIAL_2 {3, 3}
#define CHANNEL_WORD_LINE {4, 0}
#define CHANNEL_BIT_LINE {4, 1}
#define CHANNEL_SOURCE_LINE {4, 2}
#define CHANNEL_FEEDBACK_1 {5, 0}
#define CHANNEL_FEEDBACK_2 {5, 1}
#define CHANNEL_FEEDBACK_3 {5, 2}
#define CHANNEL_REFERENCE_1 {6, 0}
#define CHANNEL_REFERENCE_2 {6, 1}
#define CHANNEL_REFERENCE_3 {6, 2}

#define SWITCH_PRESET_1 (1u << 0)
#define SWITCH_INTEGRATE_1 (1u << 1)
#define SWITCH_PRESET_2 (1u << 2)
#define SWITCH_INTEGRATE_2 (1u << 3)
#define SWITCH_PORT GPIOD
#define SELECT_PORT GPIOG
#define SELECT_STROBE (1u << 13)
#define SELECT_LINES 0x3fffu
#define ROWS_CS (1u << 4)
#define ROWS_UPDATE (1u << 5)
#define ROWS_CLEAR (1u << 6)
#define ROWS_PORT GPIOD
#define ROWS_SPI {0, 1, 5, 5, 7, &GPIOA, &GPIOA}
#define INTERLOCK_PORT GPIOC
#define INTERLOCK (1u << 13)
#define INTERLOCK_PIN 13u

/* Gate while cells are read or multiply; pulses between two looks at the line. */
#define READ_GATE_CODE BOARD_SET_GATE_MAX
#define MULTIPLY_GATE_CODE BOARD_SET_GATE_MAX
#define PULSES_PER_STEP 1u

/* Every output: port, pins, those of them that idle high. */
#define OUTPUT_PINS { \
    {&GPIOD, 0x007fu, 0x0030u}, \
    {&GPIOE, 0x03ffu, 0x03ffu}, \
    {&GPIOG, 0x3fffu, 0x0000u}, \
}

/* Held low by a resistor on the board while no program runs: port, pins. */
#define PULL_DOWN_PINS { \
    {&GPIOA, 0x0001u}, \
    {&GPIOD, 0x004fu}, \
    {&GPIOG, 0x2000u}, \
}

#endif
