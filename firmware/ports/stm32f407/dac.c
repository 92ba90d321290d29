#include "dac.h"

#include "board_limits.h"
#include "registers.h"
#include "spi.h"

static gpio_t *const PORTS[DAC_PORTS] = DAC_PORT_REGISTERS;
static const dac_pins_t PINS[DAC_COUNT] = DAC_PIN_TABLE;
static const dac_channel_t WORDS[WORD_COUNT] = WORD_CHANNELS;
static const dac_spi_t SPIS[] = DAC_SPI_TABLE;  /* the last one is empty */
static const dac_bus_t BUSES[] = DAC_BUS_TABLE; /* as well */

#define BITS        16u
#define DACS_BANGED (DAC_ALL & ~DAC_SPI_SET)

/* Lines of one kind of a set, port by port, as the lower half of BSRR. */
typedef struct {
    uint32_t port[DAC_PORTS];
} lines_t;

typedef struct {
    lines_t din;
    lines_t cs;
    lines_t clk;
    uint32_t selects[DAC_BUSES + 1u]; /* of those on each bus, on its port */
} set_t;

static set_t loop_set; /* worked out once: it is wanted in an interrupt */

static inline void drive(const lines_t *lines, uint32_t shift) {
    for (uint32_t i = 0; i < DAC_PORTS; i++) {
        PORTS[i]->BSRR = lines->port[i] << shift;
    }
}

static inline void high(const lines_t *lines) {
    drive(lines, 0);
}

static inline void low(const lines_t *lines) {
    drive(lines, 16);
}

/* With the writes to the other ports, a clock edge keeps its level for at least ten cycles: 60 ns
 * at 168 MHz; the part takes 20 MHz. */
static inline void hold_edge(void) {
    __asm volatile("nop\n nop\n nop\n nop");
}

static inline void clock(const lines_t *clk) {
    high(clk);
    hold_edge();
    low(clk);
    hold_edge();
}

static void add(lines_t *lines, dac_pin_t pin) {
    lines->port[pin.port] |= 1u << pin.number;
}

/* The port with the selects of a bus. */
static gpio_t *select_port(const dac_bus_t *bus) {
    return PORTS[PINS[__builtin_ctz(bus->dacs)].cs.port];
}

static uint32_t selects_of(uint16_t dacs) {
    uint32_t selects = 0;
    for (uint32_t i = 0; i < DAC_COUNT; i++) {
        selects |= (dacs >> i & 1u) << PINS[i].cs.number;
    }
    return selects;
}

/* Lines of a set: those that are written here, and the selects on each bus. */
static set_t set_of(uint16_t dacs) {
    set_t set = {0};
    for (const dac_bus_t *bus = BUSES; bus->spi != 0; bus++) {
        set.selects[bus - BUSES] = selects_of(dacs & bus->dacs);
    }
    for (uint32_t i = 0; i < DAC_COUNT; i++) {
        if (((dacs & DACS_BANGED) >> i & 1u) != 0) {
            add(&set.din, PINS[i].din);
            add(&set.cs, PINS[i].cs);
            add(&set.clk, PINS[i].clk);
        }
    }
    return set;
}

/* One after the other, 1.6 us each. Every wait is bounded: a stuck SPI costs a word, not the board.
 */
static void send_by_spi(uint16_t dacs, const uint16_t words[DAC_COUNT]) {
    for (const dac_spi_t *spi = SPIS; spi->spi != 0; spi++) {
        const uint32_t dac = spi->dac;
        if ((dacs >> dac & 1u) != 0) {
            gpio_t *port = PORTS[PINS[dac].cs.port];
            const uint32_t cs = 1u << PINS[dac].cs.number;
            port->BSRR = cs << 16;
            spi_send(spi->spi, words[dac]);
            port->BSRR = cs;
        }
    }
}

/* The data lines of every bit, first to go first: those that are 0 in the upper half of BSRR. */
static void transpose(uint16_t dacs, const uint16_t words[DAC_COUNT], lines_t data[BITS]) {
    for (uint32_t i = 0; i < DAC_COUNT; i++) {
        if (((dacs & DACS_BANGED) >> i & 1u) != 0) {
            const uint32_t port = PINS[i].din.port;
            const uint32_t one = 1u << PINS[i].din.number;
            uint32_t left = (uint32_t)words[i] << 16;
            for (uint32_t bit = 0; bit < BITS; bit++, left <<= 1) {
                data[bit].port[port] |= (left & 0x80000000u) != 0 ? one : one << 16;
            }
        }
    }
}

void dac_send(uint16_t dacs, const uint16_t words[DAC_COUNT]) {
    if ((dacs & DACS_BANGED) != 0) {
        const set_t set = set_of(dacs);
        lines_t data[BITS] = {0};
        transpose(dacs, words, data);
        low(&set.clk);
        low(&set.cs);
        for (uint32_t bit = 0; bit < BITS; bit++) {
            high(&data[bit]);
            clock(&set.clk);
        }
        high(&set.cs);
    }
    send_by_spi(dacs, words);
}

/* Those on one bus take the word together, and let it go together: their selects are one write. */
static void send_same_by_spi(const set_t *set, uint16_t word) {
    for (const dac_bus_t *bus = BUSES; bus->spi != 0; bus++) {
        const uint32_t selects = set->selects[bus - BUSES];
        if (selects != 0) {
            gpio_t *port = select_port(bus);
            port->BSRR = selects << 16;
            spi_send(bus->spi, word);
            port->BSRR = selects;
        }
    }
}

/* The same word for every DAC of a set, whose lines were worked out before. */
static void send_same(uint16_t dacs, const set_t *set, uint16_t word) {
    if ((dacs & DACS_BANGED) != 0) {
        low(&set->clk);
        low(&set->cs);
        for (uint32_t bit = BITS; bit-- > 0;) {
            drive(&set->din, (word >> bit & 1u) != 0 ? 0u : 16u);
            clock(&set->clk);
        }
        high(&set->cs);
    }
    send_same_by_spi(set, word);
}

void dac_write(dac_channel_t where, uint16_t code) {
    uint16_t words[DAC_COUNT] = {0};
    words[where.dac] = (uint16_t)(DAC_WRITE | (uint32_t)where.channel << 12 | code);
    dac_send((uint16_t)(1u << where.dac), words);
}

void dac_write_word(uint8_t word, uint16_t code) {
    dac_write(WORDS[word], code);
}

void dac_load_tick(const uint16_t words[WORD_COUNT]) {
    for (uint32_t channel = 0; channel < 4; channel++) {
        uint16_t out[DAC_COUNT] = {0};
        uint16_t set = 0;
        for (uint32_t i = 0; i < WORD_COUNT; i++) {
            if (WORDS[i].channel == channel) {
                out[WORDS[i].dac] = (uint16_t)(DAC_LOAD | channel << 12 | words[i]);
                set = (uint16_t)(set | 1u << WORDS[i].dac);
            }
        }
        dac_send(set, out);
    }
}

void dac_update_tick(void) {
    send_same(DAC_LOOP_SET, &loop_set, DAC_UPDATE);
}

void dac_safe(void) {
    static const dac_channel_t PULSE[] = {CHANNEL_WORD_LINE, CHANNEL_BIT_LINE, CHANNEL_SOURCE_LINE};
    for (uint32_t i = 0; i < sizeof PULSE / sizeof PULSE[0]; i++) {
        dac_write(PULSE[i], 0);
    }
    for (uint32_t channel = 0; channel < 4; channel++) {
        send_same(DAC_LOOP_SET, &loop_set, (uint16_t)(DAC_WRITE | channel << 12 | BOARD_CODE_ZERO));
    }
}

/* Every output at its zero: those of the loop are bipolar, all others are not. */
static void zero_all(void) {
    const uint16_t unipolar = DAC_ALL & ~DAC_LOOP_SET;
    const set_t set = set_of(unipolar);
    for (uint32_t channel = 0; channel < 4; channel++) {
        send_same(unipolar, &set, (uint16_t)(DAC_WRITE | channel << 12));
    }
    dac_safe();
}

/* A bipolar output at code 0 is at its lower end, so what the outputs come up with is written
 * before they are enabled; and once more after it, for a part that takes no word before. */
void dac_init(void) {
    const set_t all = set_of(DAC_ALL);
    loop_set = set_of(DAC_LOOP_SET);
    for (const dac_spi_t *spi = SPIS; spi->spi != 0; spi++) {
        spi_init(spi);
    }
    zero_all();
    send_same(DAC_ALL, &all, DAC_POWER_UP);
    zero_all();
}
