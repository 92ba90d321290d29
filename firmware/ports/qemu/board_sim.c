/* The image for the emulator: the virtual board, its front end by semihosting through two FIFOs in
 * the emulator's working directory, `semi_req` out and `semi_rsp` in (ports/FRONT_END.md). */
#include "image.h"
#include "uart.h"
#include "virtual_board.h"

/* Operations and modes of Arm's "Semihosting for AArch32 and AArch64". */
enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06 };
enum { MODE_READ_BINARY = 1, MODE_WRITE_BINARY = 5 };

static board_t the_board;
static int32_t out;
static int32_t in;

static int32_t semihost(uint32_t operation, const void *block) {
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = block;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static int32_t open(const char *name, uint32_t length, uint32_t mode) {
    const struct {
        const char *name;
        uint32_t mode;
        uint32_t length;
    } block = {name, mode, length};
    return semihost(SYS_OPEN, &block);
}

/* Both give the number of bytes that were not moved. */
static uint32_t move(uint32_t operation, int32_t handle, const void *data, size_t length) {
    const struct {
        int32_t handle;
        const void *data;
        uint32_t length;
    } block = {handle, data, (uint32_t)length};
    return (uint32_t)semihost(operation, &block);
}

static bool read_bytes(uint8_t *data, size_t length) {
    while (length > 0) {
        const uint32_t left = move(SYS_READ, in, data, length);
        if (left >= length) {
            return false;
        }
        data += length - left;
        length = left;
    }
    return true;
}

static size_t exchange(void *context, const uint8_t *request, size_t length, uint8_t *response,
                       size_t capacity) {
    (void)context;
    if (out < 0 || in < 0 || move(SYS_WRITE, out, request, length) != 0 ||
        !read_bytes(response, 2)) {
        return 0;
    }
    const size_t rest = get_u16(response);
    return rest + 2u <= capacity && read_bytes(response + 2, rest) ? rest + 2u : 0;
}

static void send(void *context, const uint8_t *frame, size_t length) {
    (void)context;
    uart_send(frame, length);
}

board_t *image_board(void) {
    out = open("semi_req", 8, MODE_WRITE_BINARY);
    in = open("semi_rsp", 8, MODE_READ_BINARY);
    (void)virtual_board_init(&the_board, PORT_QEMU, exchange, send, NULL);
    return &the_board;
}

bool image_start_fault(void) {
    return false;
}

/* Time is virtual: it passes in primitives and by `advance`, not by itself. */
void image_poll(fw_t *fw) {
    (void)fw;
}

void image_tick(fw_t *fw) {
    (void)fw;
}

void image_pend(fw_t *fw) {
    (void)fw;
}

void image_emergency(void) {
}
