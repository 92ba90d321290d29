/* Generated from protocols/messages.yaml by protocols.codegen; do not edit. */
/* clang-format off */
#include "messages.h"

const msg_range_t MSG_RANGES[] = {
    {0, 0, 1, 1, 0, 2u}, /* operation */
    {1, 1, 2, 1, 0, 4095u}, /* gate_max */
    {2, 3, 2, 1, 0, 4095u}, /* line_max */
    {6, 17, 4, 1, 1, 4294967295u}, /* arm_ms_max */
    {0, 0, 4, 1, 1, 4294967295u}, /* duration_ms */
    {0, 0, 1, 1, 0, 7u}, /* reason */
    {0, 0, 2, 1, 0, 4095u}, /* read_code */
    {2, 4, 1, 1, 0, 2u}, /* operation */
    {3, 5, 2, 1, 0, 4095u}, /* gate_code */
    {4, 7, 2, 1, 0, 4095u}, /* line_code */
    {5, 9, 4, 1, 1, 4294967295u}, /* width_ticks */
    {0, 0, 2, 1, 0, 4095u}, /* read_code */
    {1, 2, 1, 1, 1, 64u}, /* samples */
    {0, 0, 1, 1, 0, 23u}, /* source */
    {1, 1, 1, 1, 0, 3u}, /* destination */
    {2, 2, 1, 1, 1, 64u}, /* samples */
    {0, 0, 2, 1, 0, 4095u}, /* code */
    {0, 0, 2, 1, 0, 4095u}, /* read_code */
    {1, 2, 1, 1, 1, 64u}, /* samples */
    {1, 2, 1, 1, 0, 3u}, /* resistor */
    {0, 0, 2, 1, 0, 4095u}, /* read_code */
    {1, 2, 1, 1, 1, 64u}, /* samples */
    {0, 0, 1, 1, 0, 2u}, /* driven */
    {2, 3, 1, 1, 0, 4u}, /* probe */
    {2, 4, 2, 1, 1, 65535u}, /* inputs */
    {3, 6, 2, 1, 1, 65535u}, /* columns */
    {4, 8, 1, 1, 0, 3u}, /* scale */
    {5, 9, 1, 1, 1, 16u}, /* samples */
    {0, 0, 2, 1, 0, 4095u}, /* code */
    {0, 0, 2, 1, 1, 65535u}, /* ticks */
    {1, 2, 4, 1, 1, 4294967295u}, /* tick_us */
    {0, 0, 2, 1, 0, 4095u}, /* drift */
    {1, 2, 2, 1, 0, 4095u}, /* score */
    {2, 4, 2, 1, 0, 2047u}, /* noise */
    {3, 6, 2, 2, 0, 4095u}, /* offset */
    {4, 10, 2, 14, 0, 4095u}, /* embedding */
    {0, 0, 2, 14, -4095, 4095u}, /* offset */
    {0, 0, 1, 1, 0, 2u}, /* layer */
    {3, 5, 2, 1, 1, 65535u}, /* inputs */
    {4, 7, 2, 1, 1, 65535u}, /* outputs */
    {5, 9, 1, 1, 0, 1u}, /* differential */
    {6, 10, 2, 1, 1, 4095u}, /* feedback_code */
    {7, 12, 2, 1, 0, 4095u}, /* reference_code */
    {0, 0, 2, 2, 0, 4095u}, /* x */
    {1, 2, 2, 2, 0, 4095u}, /* x */
    {2, 6, 1, 1, 1, 64u}, /* samples */
    {2, 4, 2, 1, 1, 65535u}, /* count */
    {3, 6, 2, 1, 1, 65535u}, /* capture_tick */
    {4, 8, 1, 1, 0, 2u}, /* noise */
    {1, 2, 1, 1, 1, 52u}, /* count */
    {2, 4, 1, 1, 1, 52u}, /* count */
    {0, 0, 8, 1, 1, 4294967295u}, /* duration_us */
};

const msg_info_t MSG_TABLE[MSG_COUNT] = {
    [MSG_INDEX_HELLO] = {0x01, MSG_LEARN, MSG_ANY, 4, 0, 107, 0, 0, 0, 0},
    [MSG_INDEX_STOP] = {0x02, MSG_ACT, MSG_ANY, 0, 0, 1, 0, 0, 0, 0},
    [MSG_INDEX_KEEP_ALIVE] = {0x03, MSG_LEARN, MSG_ANY, 0, 0, 9, 0, 0, 0, 0},
    [MSG_INDEX_STATUS] = {0x10, MSG_LEARN, MSG_SESSION, 0, 0, 36, 0, 0, 0, 0},
    [MSG_INDEX_LIMITS_LOWER] = {0x11, MSG_ACT, MSG_SESSION, 21, 0, 0, 0, 4, 0, 0},
    [MSG_INDEX_ARM] = {0x12, MSG_ACT, MSG_SESSION, 4, 0, 8, 0, 1, 0, 4},
    [MSG_INDEX_DISARM] = {0x13, MSG_ACT, MSG_SESSION, 0, 0, 0, 0, 0, 0, 5},
    [MSG_INDEX_SAFE_CLEAR] = {0x14, MSG_ACT, MSG_SESSION, 1, 0, 0, 0, 1, 0, 5},
    [MSG_INDEX_PULSE_READ] = {0x20, MSG_ACT, MSG_SESSION, 2, 13, 8, 2, 1, 4, 6},
    [MSG_INDEX_READ] = {0x21, MSG_LEARN, MSG_SESSION, 3, 4, 8, 4, 2, 0, 11},
    [MSG_INDEX_LOOPBACK] = {0x22, MSG_LEARN, MSG_SESSION, 3, 2, 8, 4, 3, 1, 13},
    [MSG_INDEX_READ_REFERENCE] = {0x23, MSG_LEARN, MSG_SESSION, 3, 3, 8, 4, 2, 1, 17},
    [MSG_INDEX_LINE_CHECK] = {0x24, MSG_LEARN, MSG_SESSION, 3, 6, 8, 4, 2, 2, 20},
    [MSG_INDEX_MULTIPLY] = {0x25, MSG_LEARN, MSG_SESSION, 10, 2, 8, 2, 4, 1, 24},
    [MSG_INDEX_WAVE_BEGIN] = {0x30, MSG_ACT, MSG_SESSION, 6, 0, 0, 0, 2, 0, 29},
    [MSG_INDEX_WAVE_LOAD] = {0x31, MSG_ACT, MSG_SESSION, 2, 38, 0, 0, 0, 5, 31},
    [MSG_INDEX_WAVE_CLASS] = {0x32, MSG_ACT, MSG_SESSION, 28, 0, 0, 0, 1, 0, 36},
    [MSG_INDEX_WAVE_COMMIT] = {0x33, MSG_ACT, MSG_SESSION, 4, 0, 0, 0, 0, 0, 37},
    [MSG_INDEX_LOOP_LAYER] = {0x34, MSG_ACT, MSG_SESSION, 14, 0, 0, 0, 6, 0, 37},
    [MSG_INDEX_INITIAL] = {0x35, MSG_ACT, MSG_SESSION, 2, 4, 0, 0, 0, 1, 43},
    [MSG_INDEX_PROBE] = {0x36, MSG_LEARN, MSG_SESSION, 7, 0, 0, 4, 2, 0, 44},
    [MSG_INDEX_RUN] = {0x38, MSG_ACT, MSG_SESSION, 25, 0, 8, 0, 3, 0, 46},
    [MSG_INDEX_PROGRESS] = {0x39, MSG_LEARN, MSG_SESSION, 0, 0, 13, 0, 0, 0, 49},
    [MSG_INDEX_SAMPLES] = {0x3a, MSG_LEARN, MSG_SESSION, 3, 0, 0, 4, 1, 0, 49},
    [MSG_INDEX_TRACE] = {0x3b, MSG_LEARN, MSG_SESSION, 5, 0, 0, 4, 1, 0, 50},
    [MSG_INDEX_ADVANCE] = {0x70, MSG_ACT, MSG_SESSION, 8, 0, 8, 0, 1, 0, 51},
};
