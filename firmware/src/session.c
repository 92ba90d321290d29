#include "session.h"

#include "bytes.h"
#include "crc32.h"

bool session_knows(const session_t *session, uint32_t nonce) {
    return session->number != 0 && session->nonce == nonce;
}

void session_open(session_t *session, uint32_t nonce) {
    uint8_t bytes[4];
    put_u32(bytes, nonce);
    uint16_t number = (uint16_t)crc32_update(0, bytes, sizeof bytes);
    while (number == 0 || number == session->number) {
        number++;
    }
    session->number = number;
    session->nonce = nonce;
    session->expected = 1;
    session->stored = 0;
    session->next = 0;
    session->greeting_bytes = 0;
}

request_kind_t session_classify(const session_t *session, const frame_head_t *head,
                                const answer_t **answer) {
    if (session->number == 0 || head->session != session->number) {
        return REQUEST_BAD_SESSION;
    }
    if (head->sequence == session->expected) {
        return REQUEST_NEW;
    }
    for (uint8_t i = 0; i < session->stored; i++) {
        if (session->answers[i].sequence == head->sequence) {
            *answer = &session->answers[i];
            return REQUEST_REPEATED;
        }
    }
    return REQUEST_BAD_SEQUENCE;
}

const answer_t *session_remember(session_t *session, const frame_head_t *head,
                                 const uint8_t *payload, size_t payload_bytes) {
    answer_t *answer = &session->answers[session->next];
    frame_head_t response = *head;
    response.code = (uint8_t)(head->code | FRAME_RESPONSE_BIT);
    answer->sequence = head->sequence;
    answer->length = (uint16_t)frame_encode(&response, payload, payload_bytes, answer->frame);
    session->next = (uint8_t)((session->next + 1u) % FW_WINDOW);
    if (session->stored < FW_WINDOW) {
        session->stored++;
    }
    session->expected = head->sequence + 1u;
    return answer;
}
