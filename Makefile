# vhdkit: one root Makefile, one module.mk per folder, out of tree.
#   make [VARIANT=release|debug|asan|tsan|mut] [CC=clang] [WERROR=1] [V=1]
VARIANT ?= release
B := build/$(VARIANT)
.DEFAULT_GOAL := all

CFLAGS_release := -O2 -g
CFLAGS_debug := -O0 -g -DVHDKIT_AUDIT
CFLAGS_asan := -O1 -g -DVHDKIT_AUDIT -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread
CFLAGS_mut := -O2 -g -DVHDKIT_MUTATE
WARN := -Wall -Wextra -Wshadow -Wvla -Wimplicit-fallthrough -Wconversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith $(if $(WERROR),-Werror)

CPPFLAGS += -D_GNU_SOURCE -Ilibvhdx
ALL_CFLAGS = -std=c17 $(WARN) $(CFLAGS_$(VARIANT)) -fvisibility=hidden -fPIC $(CFLAGS)
ALL_LDFLAGS = $(filter -fsanitize%,$(CFLAGS_$(VARIANT))) $(LDFLAGS) -pthread

PKG_CONFIG ?= pkg-config
JANSSON_CFLAGS := $(shell $(PKG_CONFIG) --cflags jansson 2>/dev/null)
JANSSON_LIBS := $(shell $(PKG_CONFIG) --libs jansson 2>/dev/null)
CUNIT_CFLAGS :=
CUNIT_LIBS := -lcunit

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))
define link
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(1) $(ALL_LDFLAGS)
endef

include libvhdx/module.mk
include vhdtool/module.mk
include tests/module.mk

all: $(B)/libvhdx-test.a $(B)/bin/vhdtool
.PHONY: all check unit clean

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(MODCFLAGS) -MMD -MP -c -o $@ $<

unit: $(B)/tests/unit/unit
	$(B)/tests/unit/unit $(UNIT_ARGS)

clean:
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
