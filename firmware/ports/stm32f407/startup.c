/* Vectors and the way to main. */
#include <stdint.h>
#include <string.h>

#include "registers.h"

extern uint32_t data_start, data_end, data_load, bss_start, bss_end, stack_top;

int main(void);
void reset(void);
void systick_interrupt(void);
void pend_interrupt(void);
void fault_interrupt(void);
void uart_interrupt(void);

void reset(void) {
    SCB_CPACR |= 0xfu << 20; /* the FPU is on before any code may use it */
    __asm volatile("dsb\n isb");
    memcpy(&data_start, &data_load, (size_t)((uintptr_t)&data_end - (uintptr_t)&data_start));
    memset(&bss_start, 0, (size_t)((uintptr_t)&bss_end - (uintptr_t)&bss_start));
    (void)main();
    fault_interrupt();
}

typedef void vector_t(void);

typedef struct {
    uint32_t *stack;
    vector_t *system[15];
    vector_t *interrupts[82];
} vectors_t;

/* Every interrupt that nobody asked for is a fault. */
__attribute__((section(".vectors"), used)) static const vectors_t VECTORS = {
    .stack = &stack_top,
    .system = {reset, fault_interrupt, fault_interrupt, fault_interrupt, fault_interrupt,
               fault_interrupt, 0, 0, 0, 0, fault_interrupt, fault_interrupt, 0, pend_interrupt,
               systick_interrupt},
    .interrupts = {[0 ... IRQ_USART1 - 1] = fault_interrupt,
                   [IRQ_USART1] = uart_interrupt,
                   [IRQ_USART1 + 1 ... 81] = fault_interrupt},
};
