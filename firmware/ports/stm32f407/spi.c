#include "spi.h"

#include "registers.h"

#define TRIES     200u /* 1,000 cycles at least; a word takes 256 */
#define ALTERNATE 2u

enum { CPHA = 1 << 0, MASTER = 1 << 2, ENABLE = 1 << 6, SSI = 1 << 8, SSM = 1 << 9, DFF = 1 << 11 };

static spi_t *registers_of(uint8_t number) {
    return number == 1 ? &SPI1 : number == 2 ? &SPI2 : &SPI3;
}

static void alternate(gpio_t *port, uint32_t number, uint32_t function) {
    reg_t *afr = &port->AFR[number / 8u];
    const uint32_t shift = 4u * (number % 8u);
    *afr = (*afr & ~(15u << shift)) | function << shift;
    port->MODER = (port->MODER & ~(3u << (2u * number))) | ALTERNATE << (2u * number);
}

/* SPI1 at 84 MHz / 8, SPI2 and 3 at 42 MHz / 4: 10.5 MHz, the part takes 20. */
void spi_init(const dac_spi_t *spi) {
    if (spi->spi == 1) {
        RCC.APB2ENR |= 1u << 12;
    } else {
        RCC.APB1ENR |= spi->spi == 2 ? 1u << 14 : 1u << 15;
    }
    alternate(spi->clk_port, spi->clk, spi->alternate);
    alternate(spi->din_port, spi->din, spi->alternate);
    const uint32_t divider = spi->spi == 1 ? 2u : 1u;
    registers_of(spi->spi)->CR1 = DFF | SSM | SSI | MASTER | CPHA | divider << 3 | ENABLE;
}

static void wait_for(const spi_t *spi, uint32_t mask, uint32_t wanted) {
    for (uint32_t i = 0; i < TRIES && (spi->SR & mask) != wanted; i++) {
    }
}

void spi_send(uint8_t number, uint16_t word) {
    spi_t *spi = registers_of(number);
    wait_for(spi, SPI_SR_TXE, SPI_SR_TXE);
    spi->DR = word;
    wait_for(spi, SPI_SR_TXE, SPI_SR_TXE);
    wait_for(spi, SPI_SR_BSY, 0);
}
