#include "build.h"

#ifndef FW_BUILD_ID
#define FW_BUILD_ID "unknown"
#endif

_Static_assert(sizeof FW_BUILD_ID <= 17, "the build's name has at most 16 characters");

const char FW_BUILD[16] = FW_BUILD_ID;
