/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define INSN_DIGITS 16

static bool
number(const char *hex, unsigned int digits, uint32_t *v)
{
	*v = 0;
	for (unsigned int i = 0; i < digits; i++) {
		unsigned char c = hex[i];

		if (!isxdigit(c))
			return false;
		*v = *v << 4 | (isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	return true;
}

/* Instructions that the interpreter knows: libpcap's check lets others through, and it ends the process at them. */
static bool
is_known(uint16_t code)
{
	static const uint16_t known[] = {
		BPF_RET | BPF_K,
		BPF_RET | BPF_A,
		BPF_LD | BPF_W | BPF_ABS,
		BPF_LD | BPF_H | BPF_ABS,
		BPF_LD | BPF_B | BPF_ABS,
		BPF_LD | BPF_W | BPF_LEN,
		BPF_LD | BPF_W | BPF_IND,
		BPF_LD | BPF_H | BPF_IND,
		BPF_LD | BPF_B | BPF_IND,
		BPF_LD | BPF_IMM,
		BPF_LD | BPF_MEM,
		BPF_LDX | BPF_W | BPF_LEN,
		BPF_LDX | BPF_MSH | BPF_B,
		BPF_LDX | BPF_IMM,
		BPF_LDX | BPF_MEM,
		BPF_ST,
		BPF_STX,
		BPF_JMP | BPF_JA,
		BPF_MISC | BPF_TAX,
		BPF_MISC | BPF_TXA,
	};
	uint16_t op = BPF_OP(code), of_x = code & BPF_X;

	for (unsigned int i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (code == known[i])
			return true;
	if (code == (BPF_JMP | op | of_x))
		return op == BPF_JEQ || op == BPF_JGT || op == BPF_JGE || op == BPF_JSET;
	if (code == (BPF_ALU | op | of_x))
		return op <= BPF_XOR && (op != BPF_NEG || of_x == 0);
	return false;
}

int
probe_filter_parse(const char *hex, struct bpf_insn insns[PROBE_FILTER_MAX])
{
	size_t len = strlen(hex), n = len / INSN_DIGITS;

	if (len % INSN_DIGITS != 0 || n > PROBE_FILTER_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++, hex += INSN_DIGITS) {
		uint32_t code, jt, jf, k;

		if (!number(hex, 4, &code) || !number(hex + 4, 2, &jt) ||
			!number(hex + 6, 2, &jf) || !number(hex + 8, 8, &k))
			return -EINVAL;
		insns[i] = (struct bpf_insn){.code = code, .jt = jt, .jf = jf, .k = k};
		if (!is_known(code))
			return -EINVAL;
		/* libpcap's own check lets jumps go backwards, and lcores wait for nobody. */
		if (BPF_CLASS(code) == BPF_JMP && BPF_OP(code) == BPF_JA && k >= n - i)
			return -EINVAL;
	}
	return n == 0 || bpf_validate(insns, n) ? (int)n : -EINVAL;
}

bool
probe_match(const struct bpf_insn *insns, unsigned int n, const void *data, uint32_t len,
	uint32_t data_len)
{
	return n == 0 || bpf_filter(insns, data, len, data_len) != 0;
}
