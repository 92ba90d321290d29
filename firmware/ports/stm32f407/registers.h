/* The registers that this firmware uses, from the reference manual RM0090 and the ARMv7-M manual.
 */
#ifndef REGISTERS_H
#define REGISTERS_H

#include <stdint.h>

typedef volatile uint32_t reg_t;

#define AT(type, address) (*(type *)(address))

typedef struct {
    reg_t MODER, OTYPER, OSPEEDR, PUPDR, IDR, ODR, BSRR, LCKR, AFR[2];
} gpio_t;

#define GPIOA AT(gpio_t, 0x40020000u)
#define GPIOB AT(gpio_t, 0x40020400u)
#define GPIOC AT(gpio_t, 0x40020800u)
#define GPIOD AT(gpio_t, 0x40020C00u)
#define GPIOE AT(gpio_t, 0x40021000u)
#define GPIOF AT(gpio_t, 0x40021400u)
#define GPIOG AT(gpio_t, 0x40021800u)

typedef struct {
    reg_t CR, PLLCFGR, CFGR, CIR, AHB1RSTR, AHB2RSTR, AHB3RSTR, reserved0, APB1RSTR, APB2RSTR,
        reserved1[2], AHB1ENR, AHB2ENR, AHB3ENR, reserved2, APB1ENR, APB2ENR, reserved3[2],
        AHB1LPENR, AHB2LPENR, AHB3LPENR, reserved4, APB1LPENR, APB2LPENR, reserved5[2], BDCR, CSR;
} rcc_t;
#define RCC AT(rcc_t, 0x40023800u)

typedef struct {
    reg_t ACR;
} flash_t;
#define FLASH AT(flash_t, 0x40023C00u)

typedef struct {
    reg_t SR, DR, BRR, CR1, CR2, CR3, GTPR;
} usart_t;
#define USART1 AT(usart_t, 0x40011000u)

typedef struct {
    reg_t CR1, CR2, SMCR, DIER, SR, EGR, CCMR1, CCMR2, CCER, CNT, PSC, ARR, RCR, CCR1;
} tim_t;
#define TIM2 AT(tim_t, 0x40000000u)
#define TIM5 AT(tim_t, 0x40000C00u)

typedef struct {
    reg_t SR, CR1, CR2, SMPR1, SMPR2, JOFR[4], HTR, LTR, SQR1, SQR2, SQR3, JSQR, JDR[4], DR;
} adc_t;
#define ADC1 AT(adc_t, 0x40012000u)

typedef struct {
    reg_t CR1, CR2, SR, DR;
} spi_t;
#define SPI1 AT(spi_t, 0x40013000u)
#define SPI2 AT(spi_t, 0x40003800u)
#define SPI3 AT(spi_t, 0x40003C00u)

typedef struct {
    reg_t CR, SR, DR;
} rng_t;
#define RNG AT(rng_t, 0x50060800u)

typedef struct {
    reg_t KR, PR, RLR, SR;
} iwdg_t;
#define IWDG AT(iwdg_t, 0x40003000u)

typedef struct {
    reg_t CTRL, LOAD, VAL, CALIB;
} systick_t;
#define SYSTICK AT(systick_t, 0xE000E010u)

#define NVIC_ISER     ((reg_t *)0xE000E100u)
#define NVIC_IPR      ((volatile uint8_t *)0xE000E400u)
#define SCB_ICSR      AT(reg_t, 0xE000ED04u)
#define SCB_AIRCR     AT(reg_t, 0xE000ED0Cu)
#define SCB_SHPR      ((volatile uint8_t *)0xE000ED18u)
#define SCB_CPACR     AT(reg_t, 0xE000ED88u)
#define DBGMCU_IDCODE AT(reg_t, 0xE0042000u)
#define UID_WORDS     ((reg_t *)0x1FFF7A10u)

enum { IRQ_USART1 = 37 };

/* bits */
enum {
    RCC_CR_HSEON = 1 << 16,
    RCC_CR_HSERDY = 1 << 17,
    RCC_CR_PLLON = 1 << 24,
    RCC_CR_PLLRDY = 1 << 25,
    RCC_CSR_RMVF = 1 << 24,
    RCC_CSR_IWDGRSTF = 1 << 29,
    USART_SR_ORE = 1 << 3,
    USART_SR_RXNE = 1 << 5,
    USART_SR_TXE = 1 << 7,
    USART_CR1_RE = 1 << 2,
    USART_CR1_TE = 1 << 3,
    USART_CR1_RXNEIE = 1 << 5,
    USART_CR1_TXEIE = 1 << 7,
    USART_CR1_UE = 1 << 13,
    TIM_CR1_CEN = 1 << 0,
    TIM_CR1_OPM = 1 << 3,
    TIM_UIF = 1 << 0,
    ADC_SR_EOC = 1 << 1,
    ADC_CR2_ADON = 1 << 0,
    ADC_CR2_SWSTART = 1 << 30,
    SPI_SR_TXE = 1 << 1,
    SPI_SR_BSY = 1 << 7,
    RNG_CR_RNGEN = 1 << 2,
    RNG_SR_DRDY = 1 << 0,
    RNG_SR_ERRORS = 0x66, /* clock or seed error, now or since */
    ICSR_PENDSVSET = 1 << 28,
};

#endif
