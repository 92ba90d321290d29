/* What `hello` says about the build. */
#ifndef BUILD_H
#define BUILD_H

/* 16 bytes of ASCII, padded with zeros. */
extern const char FW_BUILD[16];

#endif
