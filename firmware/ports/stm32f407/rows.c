#include "rows.h"

#include "analog.h"
#include "pins.h"
#include "spi.h"
#include "system.h"

#define LATCH_NS 100u /* of an update or clear pulse; such parts ask for 20 to 50 */

static const dac_spi_t SPI = ROWS_SPI;

static void set(uint32_t pin) {
    ROWS_PORT.BSRR = pin;
}

static void reset(uint32_t pin) {
    ROWS_PORT.BSRR = pin << 16;
}

void rows_clear(void) {
    reset(ROWS_CLEAR);
}

void rows_init(void) {
    rows_clear();
    set(ROWS_CS | ROWS_UPDATE);
    spi_init(&SPI);
}

/* Cleared first, so that rows of the vector before do not stay. */
void rows_load(uint16_t first, const uint16_t *codes, uint16_t count) {
    rows_clear();
    system_wait_ns(LATCH_NS);
    set(ROWS_CLEAR);
    for (uint16_t i = 0; i < count; i++) {
        analog_select_line(SELECT_ROW, (uint16_t)(first + i));
        reset(ROWS_CS);
        spi_send(SPI.spi, codes[i]);
        set(ROWS_CS);
    }
    reset(ROWS_UPDATE);
    system_wait_ns(LATCH_NS);
    set(ROWS_UPDATE);
}
