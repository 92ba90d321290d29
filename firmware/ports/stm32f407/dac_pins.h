/* What pins.h is made of. */
#ifndef DAC_PINS_H
#define DAC_PINS_H

#include <stdint.h>

#include "registers.h"

typedef struct {
    uint8_t port; /* index in DAC_PORT_REGISTERS */
    uint8_t number;
} dac_pin_t;

typedef struct {
    dac_pin_t din;
    dac_pin_t cs;
    dac_pin_t clk;
} dac_pins_t;

typedef struct {
    uint8_t dac; /* from 0 */
    uint8_t channel;
} dac_channel_t;

/* A DAC whose clock and data are those of a hardware SPI. */
typedef struct {
    uint8_t dac; /* from 0 */
    uint8_t spi; /* 1 to 3 */
    uint8_t alternate;
    uint8_t clk;
    uint8_t din;
    gpio_t *clk_port;
    gpio_t *din_port;
} dac_spi_t;

/* DACs that share a hardware SPI; their selects are on one port. */
typedef struct {
    uint8_t spi; /* 1 to 3 */
    uint16_t dacs;
} dac_bus_t;

#endif
