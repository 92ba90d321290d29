/* Hardware SPIs as masters of 16-bit words: data at the falling edge of a clock that rests low. */
#ifndef SPI_H
#define SPI_H

#include <stdint.h>

#include "dac_pins.h"

void spi_init(const dac_spi_t *spi);

/* Sends a word and waits for its end. */
void spi_send(uint8_t number, uint16_t word);

#endif
