#include "safety.h"

#include "board_limits.h"

#define WATCHDOG_NS (BOARD_WATCHDOG_MS * UINT64_C(1000000))

static bool latches(uint8_t reason) {
    return reason == SAFE_REASON_STOP || reason == SAFE_REASON_WATCHDOG ||
           reason == SAFE_REASON_FAULT || reason == SAFE_REASON_INTERLOCK;
}

static bool is_strong(uint8_t reason) {
    return reason == SAFE_REASON_FAULT || reason == SAFE_REASON_INTERLOCK;
}

void safety_init(safety_t *safety) {
    *safety = (safety_t){.reason = SAFE_REASON_POWER_UP};
}

bool safety_latched(const safety_t *safety) {
    return latches(safety->reason);
}

uint64_t safety_armed_ns(const safety_t *safety, uint64_t now_ns) {
    return safety->armed && safety->armed_until_ns > now_ns ? safety->armed_until_ns - now_ns : 0;
}

uint64_t safety_arm(safety_t *safety, uint64_t now_ns, uint64_t duration_ns) {
    safety->armed = true;
    safety->armed_until_ns = now_ns + duration_ns;
    safety->reason = SAFE_REASON_NONE;
    return safety->armed_until_ns;
}

void safety_make_safe(safety_t *safety, uint8_t reason) {
    safety->armed = false;
    if (is_strong(safety->reason) && !is_strong(reason)) {
        return;
    }
    if (safety_latched(safety) && !latches(reason)) {
        return;
    }
    safety->reason = reason;
}

uint8_t safety_greet(safety_t *safety) {
    const uint8_t before = safety->reason;
    safety->armed = false;
    if (!safety_latched(safety)) {
        safety->reason = SAFE_REASON_NONE;
    }
    return before;
}

static void expire(safety_t *safety, uint64_t now_ns) {
    if (safety->armed && now_ns >= safety->armed_until_ns) {
        safety_make_safe(safety, SAFE_REASON_ARM_TIMEOUT);
    }
}

void safety_feed(safety_t *safety, uint64_t now_ns) {
    safety->fed_ns = now_ns;
    expire(safety, now_ns);
}

bool safety_silence(safety_t *safety, uint64_t now_ns, bool running) {
    const uint64_t bites_ns = safety->fed_ns + WATCHDOG_NS;
    expire(safety, now_ns < bites_ns ? now_ns : bites_ns);
    if (now_ns < bites_ns || !(running || safety->armed)) {
        expire(safety, now_ns);
        return false;
    }
    safety_make_safe(safety, SAFE_REASON_WATCHDOG);
    return true;
}
