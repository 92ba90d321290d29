/* Switches, line selection, the pulse's timer, ADC, random generator. */
#ifndef ANALOG_H
#define ANALOG_H

#include <stdbool.h>
#include <stdint.h>

/* Registers of the select bus. */
enum {
    SELECT_ROW = 0,
    SELECT_COLUMN = 1,
    SELECT_MODE = 2,
    SELECT_PROBE = 3,
    SELECT_LAYER = 4,     /* three per layer: first row, first column, differential */
    SELECT_SOURCE = 13,   /* of the calibration line: LOOP_SOURCE_... */
    SELECT_TAP = 14,      /* of the reference ladder */
    SELECT_RESISTOR = 15, /* reference resistor; 0: none */
    SELECT_SCALE = 16,    /* feedback of the read path: full scale doubled so often */
    SELECT_UPPER = 17, /* upper byte of the number of the next line, on arrays of more than 256 */
};

/* What the selected lines are connected to. */
enum {
    MODE_GROUNDED = 0,
    MODE_BIT_LINE = 1,
    MODE_SOURCE_LINE = 2,
    MODE_READ = 3,
    MODE_LOOP = 4,
    MODE_LOOPBACK = 5,  /* lines grounded, the calibration line at the inputs of the ADC */
    MODE_REFERENCE = 6, /* lines grounded, a resistor between bit-line driver and read path */
    /* One line driven, the others pulled to ground, every gate closed: SELECT_SOURCE has the kind
     * of the driven line, SELECT_ROW its number, SELECT_TAP the LINE_PROBE_... at the ADC's read
     * input, SELECT_COLUMN the number of the line whose far end that is. */
    MODE_LINE_END = 7,
    MODE_ROW_CURRENT = 8,    /* every gate open, the source lines joined to one read path */
    MODE_COLUMN_CURRENT = 9, /* every bit line driven, the column's gates open */
    /* The rows' own DACs on the bit lines, the column's gates open, zero in the middle of the read
     * path's span. */
    MODE_PRODUCT = 10,
};

/* Inputs of the ADC. */
enum { ADC_READ = 10, ADC_X1 = 11, ADC_X2 = 12, ADC_PROBE = 13 };

void analog_init(void);
void analog_select(uint8_t number, uint8_t value);

/* The number of a row or a column into a register. */
void analog_select_line(uint8_t number, uint16_t line);
void analog_switches(uint32_t closed);
bool analog_interlock_closed(void);

/* Whether the resistors that hold the switches open, the pulse path closed and the rows cleared
 * while no program runs are there. Outputs have to be safe: each line lets go for a moment. */
bool analog_pulls_hold(void);

/* One conversion; a fault number. */
uint16_t analog_convert(uint8_t input, uint16_t *code);

/* `samples` conversions added up, each after the settling time; a fault number. */
uint16_t analog_sum(uint8_t input, uint8_t samples, uint32_t *sum);

/* Opens the pulse window for a width in ticks of 20 ns, by the timer's own output, and waits for
 * its end; a fault number. */
uint16_t analog_pulse(uint32_t width_ticks);

/* Closes the pulse window, whatever the timer does. */
void analog_pulse_off(void);

bool analog_random_ready(void);
uint16_t analog_random(uint32_t *word);

#endif
