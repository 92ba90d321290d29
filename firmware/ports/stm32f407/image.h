/* What the main program and the interrupts want from the object file in which the images differ:
 * board_hw.o in the one to flash, board_sim.o in the one for the emulator. */
#ifndef IMAGE_H
#define IMAGE_H

#include "fw.h"

/* Powers the board's outputs up, safe. */
board_t *image_board(void);

/* Whether the start has to be acknowledged as a fault: a clock that did not come up, or a reset by
 * the watchdog. */
bool image_start_fault(void);

/* From the main loop, every 10 ms; at a tick of a run; from PendSV. */
void image_poll(fw_t *fw);
void image_tick(fw_t *fw);
void image_pend(fw_t *fw);

/* Outputs off with a few writes, when nothing else can be trusted. */
void image_emergency(void);

#endif
