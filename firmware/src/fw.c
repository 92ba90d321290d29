#include "fw.h"

#include <string.h>

#include "handlers.h"

void fw_init(fw_t *fw, board_t *board) {
    memset(fw, 0, sizeof *fw);
    fw->board = board;
    fw->loop.board = board;
    fw->loop.waves = &fw->waves;
    fw->limits = HARD_LIMITS;
    safety_init(&fw->safety);
    waves_begin(&fw->waves, 0, 0);
    sequencer_forget(&fw->loop);
    board_safe(board);
}

void fw_make_safe(fw_t *fw, uint8_t reason) {
    board_safe(fw->board);
    safety_make_safe(&fw->safety, reason);
    sequencer_abort(&fw->loop, RUN_STATE_ABORTED);
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void send(fw_t *fw, const frame_head_t *request, const uint8_t *payload, size_t length) {
    uint8_t frame[FRAME_ENCODED_MAX];
    frame_head_t head = *request;
    head.code = (uint8_t)(head.code | FRAME_RESPONSE_BIT);
    board_send(fw->board, frame, frame_encode(&head, payload, length, frame));
}

/* The answer to a request whose code, length or ranges are wrong, or that of its handler. */
static size_t execute(fw_t *fw, const queued_t *queued, uint8_t *out) {
    request_t request;
    const msg_info_t *info = check_code(queued->head.code);
    if (info == NULL) {
        return status_unknown_code(out, queued->head.code);
    }
    const size_t refused = check_payload(info, queued->payload, queued->length, out, &request);
    return refused != 0 ? refused : HANDLERS[info - MSG_TABLE](fw, &request, out);
}

/* A hello that opens no new session is answered as before. The answer has its own memory, because
 * that of a job in progress may stand in `fw->answer`. */
static void answer_any(fw_t *fw, const queued_t *queued) {
    session_t *session = &fw->session;
    const bool hello = queued->head.code == MSG_HELLO && queued->length == HELLO_REQUEST_BYTES;
    if (hello && session_knows(session, get_u32(queued->payload))) {
        fw->counters.repeated++;
        send(fw, &queued->head, session->greeting, session->greeting_bytes);
        return;
    }
    uint8_t answer[MSG_PAYLOAD_BYTES];
    const size_t length = execute(fw, queued, answer);
    if (hello) {
        memcpy(session->greeting, answer, length);
        session->greeting_bytes = (uint16_t)length;
    }
    send(fw, &queued->head, answer, length);
}

/* --- the queue ---------------------------------------------------------------------------------
 */

static void enqueue(fw_t *fw, const queued_t *queued) {
    queue_t *queue = &fw->queue;
    if (queue->count == FW_WINDOW) {
        fw->counters.dropped++; /* more in flight than the window allows; the host repeats it */
        return;
    }
    queue->requests[(queue->first + queue->count) % FW_WINDOW] = *queued;
    queue->count++;
}

static void dequeue(queue_t *queue) {
    queue->first = (uint8_t)((queue->first + 1u) % FW_WINDOW);
    queue->count--;
}

static void on_frame(fw_t *fw, const frame_head_t *head, const uint8_t *payload, size_t length) {
    if ((head->code & FRAME_RESPONSE_BIT) != 0) {
        fw->counters.dropped++; /* an answer; nobody asks a board */
        return;
    }
    fw->counters.frames++;
    safety_feed(&fw->safety, board_time_ns(fw->board));
    queued_t queued = {.head = *head, .length = (uint16_t)length};
    memcpy(queued.payload, payload, length < MSG_PAYLOAD_BYTES ? length : MSG_PAYLOAD_BYTES);
    const msg_info_t *info = check_code(head->code);
    if (info != NULL && info->scope == MSG_ANY) {
        answer_any(fw, &queued);
    } else {
        enqueue(fw, &queued);
    }
}

size_t fw_receive(fw_t *fw, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        const block_state_t state = receiver_byte(&fw->receiver, data[i]);
        if (state == BLOCK_OPEN) {
            continue;
        }
        frame_head_t head;
        const uint8_t *payload = NULL;
        size_t payload_bytes = 0;
        if (state == BLOCK_COMPLETE &&
            receiver_frame(&fw->receiver, &head, &payload, &payload_bytes)) {
            on_frame(fw, &head, payload, payload_bytes);
        } else {
            fw->counters.dropped++;
        }
        return i + 1;
    }
    return length;
}

/* --- execution ---------------------------------------------------------------------------------
 */

bool fw_pending(const fw_t *fw) {
    return fw->queue.count > 0;
}

static void finish(fw_t *fw, const queued_t *queued, size_t length) {
    board_frame(fw->board, length);
    if (queued->head.code != MSG_ADVANCE) {
        safety_feed(&fw->safety, board_time_ns(fw->board)); /* the board was at work, not silent */
    }
    const answer_t *answer = session_remember(&fw->session, &queued->head, fw->answer, length);
    board_send(fw->board, answer->frame, answer->length);
    dequeue(&fw->queue);
}

/* Answers a request that is not executed; false for the expected one. */
static bool answer_unexecuted(fw_t *fw, const queued_t *queued) {
    const answer_t *answer = NULL;
    switch (session_classify(&fw->session, &queued->head, &answer)) {
    case REQUEST_NEW:
        return false;
    case REQUEST_REPEATED:
        fw->counters.repeated++;
        board_send(fw->board, answer->frame, answer->length);
        break;
    case REQUEST_BAD_SESSION:
        send(fw, &queued->head, fw->answer, status_bad_session(fw->answer, fw->session.number));
        break;
    default:
        send(fw, &queued->head, fw->answer, status_bad_sequence(fw->answer, fw->session.expected));
        break;
    }
    dequeue(&fw->queue);
    return true;
}

void fw_check_hardware(fw_t *fw) {
    if (fw->safety.reason != SAFE_REASON_INTERLOCK && !board_interlock_closed(fw->board)) {
        fw_make_safe(fw, SAFE_REASON_INTERLOCK);
    }
    if (fw->loop.run.fault != FAULT_NONE) {
        fw->loop.run.fault = FAULT_NONE;
        fw_make_safe(fw, SAFE_REASON_FAULT);
    }
}

void fw_step(fw_t *fw) {
    if (fw->queue.count == 0) {
        return;
    }
    const queued_t *queued = &fw->queue.requests[fw->queue.first];
    size_t length = 0;
    if (fw->job.kind != JOB_NONE) {
        length = job_step(fw, fw->answer);
    } else if (!answer_unexecuted(fw, queued)) {
        board_frame(fw->board, queued->length);
        fw_check_hardware(fw);
        length = execute(fw, queued, fw->answer);
    }
    if (length > 0) {
        finish(fw, queued, length);
    }
}

void fw_poll(fw_t *fw) {
    const uint64_t now_ns = board_time_ns(fw->board);
    if (fw->job.kind == JOB_NONE &&
        safety_silence(&fw->safety, now_ns, sequencer_running(&fw->loop))) {
        fw_make_safe(fw, SAFE_REASON_WATCHDOG);
    }
    fw_check_hardware(fw);
}
