/* The firmware as a process: the line on a unix stream socket, the front end on another.
 *
 *   fw_host --socket PATH [--front-end PATH]
 *
 * Listens on the first, one host at a time, and connects to the second (without it: the built-in
 * stub). A host that leaves may come back to the same board. Ends with 0 on SIGTERM or SIGINT, with
 * 1 on a wrong call, with 2 when a socket does not work, with 3 when the front end has gone. Dies
 * with its parent. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fw.h"
#include "stub.h"
#include "virtual_board.h"

enum { EXIT_CALL = 1, EXIT_SOCKET = 2, EXIT_FRONT_END = 3 };

static fw_t firmware;
static board_t the_board;
static stub_t stub;
static int front_end = -1;
static int host = -1;
static bool front_end_gone;
static volatile sig_atomic_t ended;

static void on_signal(int number) {
    (void)number;
    ended = 1;
}

static bool write_all(int fd, const uint8_t *data, size_t length) {
    while (length > 0) {
        const ssize_t written = send(fd, data, length, MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR && !ended) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        data += written;
        length -= (size_t)written;
    }
    return true;
}

static bool read_all(int fd, uint8_t *data, size_t length) {
    while (length > 0) {
        const ssize_t got = recv(fd, data, length, 0);
        if (got < 0 && errno == EINTR && !ended) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        data += got;
        length -= (size_t)got;
    }
    return true;
}

static size_t exchange(void *context, const uint8_t *request, size_t length, uint8_t *response,
                       size_t capacity) {
    (void)context;
    if (front_end < 0) {
        return stub_exchange(&stub, request, length, response, capacity);
    }
    if (!front_end_gone && write_all(front_end, request, length) &&
        read_all(front_end, response, 2)) {
        const size_t rest = get_u16(response);
        if (rest + 2u <= capacity && read_all(front_end, response + 2, rest)) {
            return rest + 2u;
        }
    }
    front_end_gone = true;
    return 0;
}

/* A host that does not read is one that has left. */
static void send_frame(void *context, const uint8_t *frame, size_t length) {
    (void)context;
    if (host >= 0) {
        (void)write_all(host, frame, length);
    }
}

static int open_socket(const char *path, bool listening) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "fw_host: %s: the path is too long for a socket\n", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        perror("fw_host: socket");
        return -1;
    }
    const struct sockaddr *where = (const struct sockaddr *)&address;
    const bool works = listening ? bind(fd, where, sizeof address) == 0 && listen(fd, 1) == 0
                                 : connect(fd, where, sizeof address) == 0;
    if (!works) {
        fprintf(stderr, "fw_host: %s: %s\n", path, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

static void take(const uint8_t *data, size_t length) {
    size_t taken = 0;
    while (taken < length) {
        taken += fw_receive(&firmware, data + taken, length - taken);
        while (fw_pending(&firmware)) {
            fw_step(&firmware);
        }
    }
}

/* Serves one host until it leaves. */
static void serve(void) {
    static uint8_t data[65536];
    while (!ended && !front_end_gone) {
        const ssize_t got = recv(host, data, sizeof data, 0);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return;
        }
        if (got > 0) {
            take(data, (size_t)got);
        }
    }
}

static int run(int listener) {
    while (!ended && !front_end_gone) {
        struct pollfd waiting[2] = {{.fd = listener, .events = POLLIN},
                                    {.fd = front_end, .events = POLLIN}};
        if (poll(waiting, 2, -1) < 0) {
            continue;
        }
        if (waiting[1].revents != 0) { /* it never speaks unasked: it has closed */
            front_end_gone = true;
        } else if (waiting[0].revents != 0) {
            host = accept(listener, NULL, NULL);
            if (host >= 0) {
                serve();
                close(host);
                host = -1;
            }
        }
    }
    return front_end_gone ? EXIT_FRONT_END : EXIT_SUCCESS;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

int main(int count, char **arguments) {
    const char *line = NULL;
    const char *physics = NULL;
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(arguments[i], "--socket") == 0) {
            line = arguments[i + 1];
        } else if (strcmp(arguments[i], "--front-end") == 0) {
            physics = arguments[i + 1];
        } else {
            line = NULL;
            break;
        }
    }
    if (line == NULL || count % 2 == 0) {
        fprintf(stderr, "usage: fw_host --socket PATH [--front-end PATH]\n");
        return EXIT_CALL;
    }
    catch_signals();
    if (physics != NULL) {
        front_end = open_socket(physics, false);
        if (front_end < 0) {
            return EXIT_SOCKET;
        }
    }
    if (!virtual_board_init(&the_board, PORT_HOST, exchange, send_frame, NULL)) {
        fprintf(stderr, "fw_host: the front end does not answer\n");
        return EXIT_FRONT_END;
    }
    fw_init(&firmware, &the_board);
    const int listener = open_socket(line, true);
    if (listener < 0) {
        return EXIT_SOCKET;
    }
    const int code = run(listener);
    close(listener);
    unlink(line);
    return code;
}
