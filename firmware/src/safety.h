/* What keeps the outputs safe: arming with a time-out, watchdog, stop, and the latched reasons.
 *
 * `stop`, the watchdog, a fault and an open interlock latch: until the reason is cleared by its
 * name, nothing above the read level is driven and no run starts. Power-up, the end of an arming
 * and `disarm` put the outputs to their safe values without latching. The watchdog looks only at
 * time that passes while nothing is asked. This module decides; fw.c acts on it. */
#ifndef SAFETY_H
#define SAFETY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check.h"

typedef struct {
    uint8_t reason; /* SAFE_REASON_... */
    bool armed;
    uint64_t armed_until_ns;
    uint64_t fed_ns; /* when the host was last heard of */
} safety_t;

void safety_init(safety_t *safety);

/* Whether a reason has to be cleared before anything is driven. */
bool safety_latched(const safety_t *safety);

/* Time left of the arming; 0 is not armed. */
uint64_t safety_armed_ns(const safety_t *safety, uint64_t now_ns);

/* Allows voltages above the read level; returns until when. */
uint64_t safety_arm(safety_t *safety, uint64_t now_ns, uint64_t duration_ns);

/* Ends the arming. A fault or an open interlock is not covered up by a lesser reason. */
void safety_make_safe(safety_t *safety, uint8_t reason);

/* A new session: the reason before it. What does not latch is over. */
uint8_t safety_greet(safety_t *safety);

/* A good frame has come, or the board was at work for the host until now. An arming may end here;
 * its outputs are at their safe values already, because every pulse ends by itself. */
void safety_feed(safety_t *safety, uint64_t now_ns);

/* The host has said nothing until now. True: the watchdog has acted. */
bool safety_silence(safety_t *safety, uint64_t now_ns, bool running);

#endif
