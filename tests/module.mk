# Tests see everything. One unit program with a suite per module, one crash
# runner; suites register by file name (tests/unit/test_X.c has t_suite_X).
sim_OBJS := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/sim/*.c tests/lib/*.c)))
unit_NAMES := $(patsubst tests/unit/test_%.c,%,$(sort $(wildcard tests/unit/test_*.c)))
unit_OBJS := $(unit_NAMES:%=$(B)/tests/unit/test_%.o) $(B)/tests/unit/main.o
crash_OBJS := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/crash/*.c)))
$(unit_OBJS) $(sim_OBJS) $(crash_OBJS): MODCFLAGS := -Itests/lib -Itests/sim -I$(B)/tests $(CUNIT_CFLAGS)

$(B)/tests/suites.inc: $(wildcard tests/unit) tests/module.mk
	@mkdir -p $(@D)
	@for n in $(unit_NAMES); do echo "T_SUITE($$n)"; done > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(B)/tests/unit/main.o: $(B)/tests/suites.inc

$(B)/tests/unit/unit: $(unit_OBJS) $(sim_OBJS) $(B)/libvhdx-test.a
	$(call link,$(CUNIT_LIBS))
$(B)/tests/crash/crash: $(crash_OBJS) $(sim_OBJS) $(B)/libvhdx-test.a
	$(call link,$(CUNIT_LIBS))
