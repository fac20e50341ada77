/* SPDX-License-Identifier: MIT */
#include "hyperv_cpuid.h"

#include <string.h>

#include "t.h"

#define BIT(n) (UINT32_C(1) << (n))

/* What a KVM could list, reduced to what is changed. */
static struct kvm_cpuid_entry2 kvm[64], hv[4], out[HYPERV_CPUID_MAX];
static struct hyperv_cpuid in;
static unsigned cnt;

static struct kvm_cpuid_entry2 *add(uint32_t leaf, uint32_t index)
{
	struct kvm_cpuid_entry2 *c = &kvm[in.kvm_cnt++];
	*c = (struct kvm_cpuid_entry2){ .function = leaf, .index = index };
	return c;
}

static void add_caches(uint32_t leaf)
{
	for (uint32_t i = 0; i < 4; i++)
		add(leaf, i)->eax = i < 3 ? (i + 1) << 5 | 1 | 0xFFFFC000u : 0;
}

static void vendor(uint32_t max, const char text[12])
{
	struct kvm_cpuid_entry2 *c = add(0, 0);
	c->eax = max;
	memcpy(&c->ebx, text, 4);
	memcpy(&c->edx, text + 4, 4);
	memcpy(&c->ecx, text + 8, 4);
}

static void begin(bool amd)
{
	in = (struct hyperv_cpuid){ .vp = 2, .cpu_cnt = 5, .kvm = kvm,
				    .hv = hv, .hv_cnt = 1 };
	vendor(amd ? 0x10 : 0x1F, amd ? "AuthenticAMD" : "GenuineIntel");
	*add(1, 0) = (struct kvm_cpuid_entry2){
		.function = 1, .ebx = 0x07100800, .ecx = BIT(5) | BIT(21),
	};
	if (!amd)
		add_caches(4);
	add(7, 0);
	add(0xB, 0)->ebx = 99;
	add(0x40000000, 0)->ebx = 0x4b4d564b;
	add(0x40000001, 0)->eax = 0x01007EFB;
	add(0x80000001, 0)->ecx = amd ? BIT(2) | BIT(22) : 0;
	add(0x80000007, 0)->edx = BIT(8);
	*add(0x80000008, 0) = (struct kvm_cpuid_entry2){
		.function = 0x80000008, .eax = 48, .ebx = BIT(28),
		.ecx = 0x7F7F,
	};
	add(0x8000000A, 0)->eax = 1;
	if (amd)
		add_caches(0x8000001D);
	add(0x8000001E, 0)->eax = 7;
	hv[0] = (struct kvm_cpuid_entry2){ .function = 0x40000003,
		.eax = UINT32_MAX, .ebx = UINT32_MAX, .edx = UINT32_MAX };
}

static void build(void)
{
	T_OK(hyperv_cpuid(&in, out, &cnt, &t_err));
}

/* The one entry, or NULL. */
static const struct kvm_cpuid_entry2 *get(uint32_t leaf, uint32_t index)
{
	const struct kvm_cpuid_entry2 *c = NULL;
	for (unsigned i = 0; i < cnt; i++)
		if (out[i].function == leaf && out[i].index == index) {
			T_TRUE(!c);
			c = &out[i];
		}
	return c;
}

static void hypervisor_is_hyperv_and_no_other(void)
{
	begin(false);
	build();
	const struct kvm_cpuid_entry2 *c = get(0x40000000, 0);
	char text[13] = { 0 };
	memcpy(text, &c->ebx, 12);
	T_TRUE(!strcmp(text, "Microsoft Hv"));
	T_TRUE(c->eax >= 0x40000005);
	T_EQ_U64(get(0x40000001, 0)->eax, 0x31237648);
	T_TRUE(get(1, 0)->ecx & BIT(31));
	for (unsigned i = 0; i < cnt; i++)
		T_TRUE(out[i].function < 0x40000007 ||
		       out[i].function >= 0x80000000);
}

static void features_are_those_wanted_and_no_others(void)
{
	begin(false);
	build();
	const struct kvm_cpuid_entry2 *c = get(0x40000003, 0);
	T_EQ_U64(c->eax, 0x8AF7);
	T_EQ_U64(c->ebx, 0x30);
	T_EQ_U64(c->edx, 0x500);
	T_EQ_U64(get(0x40000004, 0)->eax, 0x238);
	T_EQ_U64(get(0x40000004, 0)->ebx, UINT32_MAX);
}

static void apic_by_msr_is_advised_where_eois_exit(void)
{
	begin(false);
	in.apicv = true;
	build();
	T_EQ_U64(get(0x40000004, 0)->eax, 0x230);
	in.apicv = false;
	hv[0].eax &= ~BIT(4);
	build();
	T_EQ_U64(get(0x40000004, 0)->eax, 0x230);
}

static void invariant_tsc_needs_host_and_kvm(void)
{
	begin(false);
	hv[0].eax &= ~BIT(15);
	build();
	T_EQ_U64(get(0x40000003, 0)->eax & BIT(15), 0);
	begin(false);
	for (unsigned i = 0; i < in.kvm_cnt; i++)
		if (kvm[i].function == 0x80000007)
			kvm[i].edx = 0;
	build();
	T_EQ_U64(get(0x40000003, 0)->eax & BIT(15), 0);
}

static void missing_feature_is_named(void)
{
	begin(false);
	hv[0].eax &= ~BIT(2);
	T_FAILS(hyperv_cpuid(&in, out, &cnt, &t_err), VHDX_E_UNSUPPORTED,
		"SynIC");
	begin(false);
	hv[0].ebx = 0;
	T_FAILS(hyperv_cpuid(&in, out, &cnt, &t_err), VHDX_E_UNSUPPORTED,
		"posting messages");
	in.hv_cnt = 0;
	T_FAILS(hyperv_cpuid(&in, out, &cnt, &t_err), VHDX_E_UNSUPPORTED,
		"hypercalls");
}

static void apic_id_is_the_vcpu_everywhere(void)
{
	begin(true);
	build();
	T_EQ_U64(get(1, 0)->ebx, 0x02080800);
	T_EQ_U64(get(0xB, 0)->edx, 2);
	T_EQ_U64(get(0xB, 1)->edx, 2);
	T_EQ_U64(get(0x8000001E, 0)->eax, 2);
}

static void cores_fill_one_socket_of_intel(void)
{
	begin(false);
	build();
	T_EQ_U64(get(0xB, 0)->eax, 0);
	T_EQ_U64(get(0xB, 0)->ebx, 1);
	T_EQ_U64(get(0xB, 0)->ecx, 0x100);
	T_EQ_U64(get(0xB, 1)->eax, 3);
	T_EQ_U64(get(0xB, 1)->ebx, 5);
	T_EQ_U64(get(0xB, 1)->ecx, 0x201);
	T_EQ_U64(get(0xB, 2)->ebx, 0);
	T_EQ_U64(get(0x1F, 1)->ebx, 5);
	T_TRUE(get(1, 0)->edx & BIT(28));
	T_EQ_U64(get(4, 1)->eax, 2 << 5 | 1 | 7u << 26);
	T_EQ_U64(get(4, 2)->eax, 3 << 5 | 1 | 7 << 14 | 7u << 26);
	T_EQ_U64(get(4, 3)->eax, 0);
	T_TRUE(!get(0x8000001E, 0));
}

static void cores_fill_one_socket_of_amd(void)
{
	begin(true);
	build();
	T_EQ_U64(get(0x80000008, 0)->ecx, 0x3004);
	T_EQ_U64(get(0x80000008, 0)->eax, 48);
	T_TRUE(get(0x80000001, 0)->ecx & BIT(1));
	T_EQ_U64(get(0x8000001E, 0)->ebx, 2);
	T_EQ_U64(get(0x8000001D, 0)->eax, 1 << 5 | 1);
	T_EQ_U64(get(0x8000001D, 2)->eax, 3 << 5 | 1 | 7 << 14);
	T_TRUE(!get(0x1F, 0));
}

static void single_vcpu_is_one_core_without_threads(void)
{
	begin(true);
	in.vp = 0;
	in.cpu_cnt = 1;
	build();
	T_EQ_U64(get(1, 0)->ebx, 0x00010800);
	T_EQ_U64(get(1, 0)->edx & BIT(28), 0);
	T_EQ_U64(get(0xB, 1)->eax, 0);
	T_EQ_U64(get(0xB, 1)->ebx, 1);
	T_EQ_U64(get(0x80000008, 0)->ecx, 0);
	T_EQ_U64(get(0x80000001, 0)->ecx & BIT(1), 0);
}

static void nested_virtualisation_is_hidden(void)
{
	begin(true);
	build();
	T_EQ_U64(get(0x80000001, 0)->ecx & BIT(2), 0);
	T_EQ_U64(get(1, 0)->ecx & BIT(5), 0);
	T_TRUE(!get(0x8000000A, 0));
}

static void psfd_needs_its_msr(void)
{
	begin(true);
	build();
	T_EQ_U64(get(0x80000008, 0)->ebx & BIT(28), 0);
	begin(true);
	for (unsigned i = 0; i < in.kvm_cnt; i++)
		if (kvm[i].function == 7)
			kvm[i].edx = BIT(26);
	build();
	T_TRUE(get(0x80000008, 0)->ebx & BIT(28));
}

static void tsc_deadline_is_there_when_kvm_has_it(void)
{
	begin(false);
	build();
	T_EQ_U64(get(1, 0)->ecx & BIT(24), 0);
	in.tsc_deadline = true;
	build();
	T_TRUE(get(1, 0)->ecx & BIT(24));
}

static void too_many_entries_are_refused(void)
{
	static struct kvm_cpuid_entry2 many[HYPERV_CPUID_MAX];
	begin(false);
	for (unsigned i = 0; i < HYPERV_CPUID_MAX; i++)
		many[i] = (struct kvm_cpuid_entry2){ .function = 2 };
	in.kvm = many;
	in.kvm_cnt = HYPERV_CPUID_MAX;
	T_FAILS(hyperv_cpuid(&in, out, &cnt, &t_err), VHDX_E_UNSUPPORTED,
		"entries");
}

static const struct t_test tests[] = {
	T_TEST(hypervisor_is_hyperv_and_no_other),
	T_TEST(features_are_those_wanted_and_no_others),
	T_TEST(apic_by_msr_is_advised_where_eois_exit),
	T_TEST(invariant_tsc_needs_host_and_kvm),
	T_TEST(missing_feature_is_named),
	T_TEST(apic_id_is_the_vcpu_everywhere),
	T_TEST(cores_fill_one_socket_of_intel),
	T_TEST(cores_fill_one_socket_of_amd),
	T_TEST(single_vcpu_is_one_core_without_threads),
	T_TEST(nested_virtualisation_is_hidden),
	T_TEST(psfd_needs_its_msr),
	T_TEST(tsc_deadline_is_there_when_kvm_has_it),
	T_TEST(too_many_entries_are_refused),
	T_END,
};

const struct t_suite t_suite_hyperv_cpuid = { "hyperv_cpuid", tests };
