/* The bench: identity, line, time, safety and interrupts of the reference board. */
#include "board_hw.h"

#include <string.h>

#include "analog.h"
#include "build.h"
#include "dac.h"
#include "image.h"
#include "registers.h"
#include "rows.h"
#include "system.h"
#include "uart.h"

static board_t the_board;
static bool pulls_hold;

/* In this order: switches open and the array's lines grounded, whatever the DACs still put out
 * after a reset in the middle of a pulse; then every DAC at zero, then their outputs enabled. */
board_t *image_board(void) {
    analog_init();
    analog_switches(0);
    analog_select(SELECT_MODE, MODE_GROUNDED);
    dac_init();
    rows_init();
    pulls_hold = analog_pulls_hold();
    return &the_board;
}

bool image_start_fault(void) {
    return !pulls_hold || the_system.watchdog_reset ||
           (!the_system.emulated && the_system.clock_flags != CLOCK_ALL);
}

void image_emergency(void) {
    analog_switches(0);
    analog_pulse_off();
    rows_clear();
    system_tick_stop();
}

void board_identity(board_t *board, board_identity_t *identity) {
    (void)board;
    identity->port = PORT_STM32F407;
    identity->serial = system_serial();
    memcpy(identity->build, FW_BUILD, sizeof identity->build);
}

uint64_t board_time_ns(board_t *board) {
    (void)board;
    return system_time_ns();
}

void board_send(board_t *board, const uint8_t *frame, size_t length) {
    (void)board;
    uart_send(frame, length);
}

void board_frame(board_t *board, size_t payload_bytes) {
    (void)board;
    (void)payload_bytes;
}

int64_t board_advance_left_us(board_t *board) {
    (void)board;
    return -1;
}

void board_advance(board_t *board, uint64_t duration_ns) {
    (void)board;
    (void)duration_ns;
}

uint32_t board_lock(board_t *board) {
    (void)board;
    return system_lock();
}

void board_unlock(board_t *board, uint32_t state) {
    (void)board;
    system_unlock(state);
}

/* --- safety --------------------------------------------------------------------------------------
 */

void board_safe(board_t *board) {
    image_emergency();
    const uint32_t lock = system_lock();
    analog_select(SELECT_MODE, MODE_GROUNDED);
    dac_safe();
    board->idle_wanted = false;
    system_unlock(lock);
}

bool board_interlock_closed(board_t *board) {
    (void)board;
    return analog_interlock_closed();
}

/* --- interrupts ----------------------------------------------------------------------------------
 */

void image_poll(fw_t *fw) {
    fw_poll(fw);
}

void image_tick(fw_t *fw) {
    sequencer_tick(&fw->loop);
}

void image_pend(fw_t *fw) {
    if (the_board.idle_wanted) {
        the_board.idle_wanted = false;
        analog_select(SELECT_MODE, MODE_GROUNDED);
        dac_safe();
    }
    sequencer_prepare(&fw->loop);
}
