/* What the parts of the bench share. */
#ifndef BOARD_HW_H
#define BOARD_HW_H

#include "board.h"

struct board {
    uint32_t tick_us;
    volatile bool idle_wanted; /* the loop's DACs are to go to their safe values */
};

#endif
