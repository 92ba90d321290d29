/* Generated from protocols/boards/reference.yaml by protocols.codegen; do not edit. */
/* clang-format off */
#ifndef BOARD_LIMITS_H
#define BOARD_LIMITS_H

/* The limits hold for every converter gain and offset within the stated margins. */
#define BOARD_ROWS 128u
#define BOARD_COLUMNS 128u
#define BOARD_CODE_MAX 4095u
#define BOARD_CODE_ZERO 2048u
#define BOARD_HIDDEN_WIDTH 14u
#define BOARD_LADDER_STEPS 16u
#define BOARD_READ_CODE_MAX 358u
#define BOARD_SET_GATE_MAX 2913u
#define BOARD_SET_LINE_MAX 2913u
#define BOARD_SET_WIDTH_MAX 1000u
#define BOARD_SET_ENERGY_MAX 8286689u
#define BOARD_RESET_GATE_MAX 3643u
#define BOARD_RESET_LINE_MAX 2913u
#define BOARD_RESET_WIDTH_MAX 1000u
#define BOARD_RESET_ENERGY_MAX 8286689u
#define BOARD_FORM_GATE_MAX 2102u
#define BOARD_FORM_LINE_MAX 3643u
#define BOARD_FORM_WIDTH_MAX 50000u
#define BOARD_FORM_ENERGY_MAX 648019971u
#define BOARD_ENERGY_UNIT 1024u
#define BOARD_PULSES_PER_CELL_MAX 5000u
#define BOARD_ARM_MS_MAX 600000u
#define BOARD_WATCHDOG_MS 2000u
#define BOARD_TICK_US 5000u
#define BOARD_WIDTH_TICK_NS 20u
#define BOARD_PULSE_OVERHEAD_NS 20000u
#define BOARD_READ_NS 50000u
#define BOARD_RUN_OVERHEAD_NS 1200000u
#define BOARD_PRESET_SETTLE_NS 1000000u
#define BOARD_BAUD 921600u
#define BOARD_FRAME_OVERHEAD_S 5e-05

#endif
