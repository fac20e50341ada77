# Tests see everything. One unit program with a suite per module, one crash
# runner, a program per fuzz harness and per benchmark. Suites register by file
# name: tests/unit/test_X.c has t_suite_X.
tests_CPPFLAGS := -Itests/lib -Itests/sim -Itests/fuzz -I$(B)/tests \
	-Icommon -Ivmbus -Istorvsp -Ivmm
HEADERS += $(sort $(wildcard tests/*/*.h))

obj = $(patsubst %.c,$(B)/%.o,$(sort $(1)))
sim_OBJS := $(call obj,$(wildcard tests/sim/*.c))
lib_OBJS := $(call obj,$(wildcard tests/lib/*.c))
unit_NAMES := $(patsubst tests/unit/test_%.c,%,$(sort $(wildcard tests/unit/test_*.c)))
# Of the VMM, what needs neither KVM nor its libraries: X has a test_X.c.
vmm_TESTED := \
	bus \
	hyperv_cpuid \
	hyperv_hcall \
	synic
ifneq ($(shell uname -m),x86_64)
unit_NAMES := $(filter-out $(vmm_TESTED),$(unit_NAMES))
vmm_TESTED :=
endif
# And under other names, test_vmm_*.c; booting wants the ACPI tables, so iasl.
vmm_PLAIN := serial vm_serial vm_pm rtc io evloop
vmm_BOOT := boot_load acpi vm_run
vmm_JSON := conf conf_disk conf_json instance client console ctl errand \
	term disk disks
ifneq ($(shell uname -m),x86_64)
unit_NAMES := $(filter-out vmm_%,$(unit_NAMES))
vmm_PLAIN :=
vmm_BOOT :=
vmm_JSON :=
else ifeq ($(call have_prog,iasl),)
unit_NAMES := $(filter-out vmm_boot vmm_acpi vmm_run,$(unit_NAMES))
vmm_BOOT :=
endif
ifneq ($(call have_pkg,jansson),yes)
unit_NAMES := $(filter-out vmm_conf vmm_ctl vmm_disks,$(unit_NAMES))
vmm_JSON :=
endif
unit_OBJS := $(unit_NAMES:%=$(B)/tests/unit/test_%.o) $(B)/tests/unit/main.o
crash_OBJS := $(call obj,$(wildcard tests/crash/*.c))
stress_OBJS := $(call obj,$(wildcard tests/stress/*.c))
bench_OBJS := $(call obj,$(wildcard tests/bench/*.c))
golden_OBJS := $(call obj,$(wildcard tests/golden/*.c))
fuzz_ALL := $(call obj,$(wildcard tests/fuzz/*.c))
fuzz_MAIN := $(B)/tests/fuzz/replay_main.o
fuzz_SRCS := $(sort $(shell grep -l '^int LLVMFuzzerTestOneInput' tests/fuzz/*.c 2>/dev/null))
fuzz_NAMES := $(fuzz_SRCS:tests/fuzz/%.c=%)
fuzz_OBJS := $(filter-out $(fuzz_SRCS:%.c=$(B)/%.o) $(fuzz_MAIN),$(fuzz_ALL))
$(unit_OBJS) $(sim_OBJS) $(lib_OBJS) $(crash_OBJS) $(stress_OBJS) $(bench_OBJS) \
$(golden_OBJS) $(fuzz_ALL): \
	MODCFLAGS := $(tests_CPPFLAGS)

# What tests share, as an archive: each program takes what it needs, so that the
# fuzzers do without CUnit.
tests_LIBS := $(B)/libtests.a $(B)/libvmm-test.a $(B)/libvsp-test.a $(B)/libvhdx-test.a
$(B)/libvmm-test.a: $(patsubst %,$(B)/vmm/%.o,boot $(vmm_TESTED) $(vmm_PLAIN) \
	$(vmm_JSON) $(vmm_BOOT)) $(common_OBJS) $(if $(vmm_BOOT),$(vmm_AML)) tests/module.mk
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(B)/libvsp-test.a: $(storvsp_OBJS) $(vmbus_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/libtests.a: $(sim_OBJS) $(lib_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/tests/suites.inc: $(wildcard tests/unit) tests/module.mk
	@mkdir -p $(@D)
	@for n in $(unit_NAMES); do echo "T_SUITE($$n)"; done > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(B)/tests/unit/main.o: $(B)/tests/suites.inc

$(B)/tests/unit/unit: $(unit_OBJS) $(tests_LIBS)
	$(call link,-lcunit $(if $(vmm_JSON),-ljansson))
$(B)/tests/crash/crash: $(crash_OBJS) $(tests_LIBS)
	$(call link,-lcunit)

$(B)/tests/stress/stress: $(stress_OBJS) $(tests_LIBS)
	$(call link,-lcunit)

$(B)/tests/golden/damage: $(golden_OBJS) $(tests_LIBS)
	$(call link,-lcunit)

# crc32c is a benchmark; the others are what run.sh works with.
bench_PROGS := $(bench_OBJS:%.o=%)
$(bench_PROGS): %: %.o $(B)/libvhdx-test.a
	$(call link,)

# Runs in guests, which have no libraries.
nested_PROGS := $(B)/tests/nested/fsynced
$(B)/tests/nested/fsynced: $(B)/tests/nested/guest/fsynced.o
	$(call link,-static)

# Searching needs clang and VARIANT=fuzz; replaying a corpus needs neither.
fuzz_PROGS := $(fuzz_NAMES:%=$(B)/fuzz/%)
replay_PROGS := $(fuzz_NAMES:%=$(B)/fuzz/replay_%)
$(fuzz_PROGS): $(B)/fuzz/%: $(B)/tests/fuzz/%.o $(fuzz_OBJS) $(tests_LIBS)
	$(call link,-fsanitize=fuzzer)
$(replay_PROGS): $(B)/fuzz/replay_%: $(B)/tests/fuzz/%.o $(fuzz_MAIN) $(fuzz_OBJS) $(tests_LIBS)
	$(call link,)

ifeq ($(call have_pkg,cunit),yes)
TESTS += $(B)/tests/unit/unit $(B)/tests/golden/damage $(if $(crash_OBJS),$(B)/tests/crash/crash) \
	$(B)/tests/stress/stress
else
$(call left_out,the tests are left out: CUnit is missing (libcunit1-dev))
endif

.PHONY: nested-progs fuzz-progs replay-progs crash stress golden
stress: $(B)/tests/stress/stress
crash: $(if $(crash_OBJS),$(B)/tests/crash/crash)
nested-progs: all $(nested_PROGS)
fuzz-progs: $(fuzz_PROGS)
golden: $(B)/tests/golden/damage $(PROGRAMS)
	VHDTOOL=$(B)/bin/vhdtool tests/golden/run.sh
replay-progs: $(replay_PROGS)

unit: $(B)/tests/unit/unit
	$(B)/tests/unit/unit $(UNIT_ARGS)

bench: $(bench_PROGS) $(nested_PROGS) $(PROGRAMS)
	@$(B)/tests/bench/crc32c
	@tests/bench/run.sh

fuzz:
	+@scripts/fuzz.sh

fuzz-replay:
	+@scripts/fuzz.sh replay
