# vhdkit: one root Makefile, one module.mk per folder, built out of tree.
#
#   make                    library and programs    make quickstart  a tour
#   make check              all tests, minutes      make install     DESTDIR=
#   make check-long         the long suites         make bench, fuzz, clean
#   make check-nested       guests booted under vmm, on a host made by QEMU
#   make unit UNIT_ARGS=    unit tests (-s suite, -t test, -l)
#
#   VARIANT=release|debug|asan|tsan|fuzz|mut   SAN=address,undefined
#   CC=clang   WERROR=1   V=1   PREFIX=/usr/local   B=build/elsewhere
VARIANT ?= release
B := build/$(VARIANT)$(if $(SAN),-san)
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
LIBEXECDIR ?= $(PREFIX)/libexec/vhdkit
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
COMPDIR ?= $(PREFIX)/share/bash-completion/completions

# libFuzzer is clang's.
ifeq ($(VARIANT)-$(origin CC),fuzz-default)
CC := clang
endif
OBJCOPY ?= objcopy
PKG_CONFIG ?= pkg-config
SCDOC ?= scdoc

SAN_FLAGS := -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
CFLAGS_debug := -O0 -g -DVHDKIT_AUDIT
CFLAGS_asan := -O1 -g -DVHDKIT_AUDIT -fsanitize=address,undefined $(SAN_FLAGS)
CFLAGS_tsan := -O1 -g -fsanitize=thread
CFLAGS_mut := -O2 -g -DVHDKIT_MUTATE
CFLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined $(SAN_FLAGS)
VARIANTS := release debug asan tsan mut fuzz
ifeq ($(filter $(VARIANT),$(VARIANTS)),)
$(error VARIANT=$(VARIANT) is none of: $(VARIANTS))
endif

WARN := -Wall -Wextra -Wshadow -Wvla -Wimplicit-fallthrough -Wconversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	$(if $(WERROR),-Werror)
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Ilibvhdx
# A request's state lives in its caller's memory (vhdx_req.priv) and in lists
# that run through structs of many types: type-based guesses about what a store
# may change are wrong there, and gcc 12 makes them.
ALL_CFLAGS = -std=c17 -fno-strict-aliasing $(WARN) $(CFLAGS_$(VARIANT)) \
	$(if $(SAN),-fsanitize=$(SAN) $(SAN_FLAGS)) \
	-fvisibility=hidden -fPIC -pthread $(CFLAGS)
ALL_LDFLAGS = $(filter -fsanitize=%,$(ALL_CFLAGS)) -pthread \
	-Wl,-z,relro,-z,now $(LDFLAGS) -laio

have_pkg = $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null && echo yes)
have_prog = $(shell command -v $(1) 2>/dev/null)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))
# $(call link,LIBS): a program from the objects and archives it depends on.
define link
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(1) $(ALL_LDFLAGS)
endef

# Said of what cannot be built, unless what is missing is about to be installed.
left_out = $(if $(filter quickstart check check-long deps,$(MAKECMDGOALS)),,\
	$(info $(1)))

# Folders add to these.
PROGRAMS :=	# what `make` builds beside the library
HELPERS :=	# what they start, not for use by hand
TESTS :=	# test programs
HEADERS :=	# each must compile alone

include libvhdx/module.mk
include common/module.mk
include vhdtool/module.mk
include vhdfsmap/module.mk
include vhdfuse/module.mk
include vmbus/module.mk
include storvsp/module.mk
include vmm/module.mk
include tests/module.mk
include man/module.mk

.PHONY: all tests check check-long check-nested check-headers check-layers check-style \
	deps unit bench fuzz fuzz-replay quickstart install install-files uninstall \
	clean FORCE

all: $(libvhdx_LIBS) $(PROGRAMS) $(HELPERS) $(MAN_PAGES)
tests: all $(TESTS)

# Everything is rebuilt when the compiler or the flags change.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS)' | \
		cmp -s - $@ || \
		echo '$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS)' > $@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(MODCFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- checking --------------------------------------------------------------
# The scripts call make again for each step: what deps.sh installs must be seen
# by a new make, and a failed step must not hide the ones behind it.
export MAKE VARIANT B CC PKG_CONFIG

deps:
	@scripts/deps.sh

check: deps
	+@scripts/check.sh

check-long: deps
	+@scripts/check-long.sh

check-nested: nested-progs
	@tests/nested/check.sh

check-headers: $(B)/flags
	@for h in $(HEADERS); do \
		printf '#include "%s"\n#include "%s"\n' $$h $$h | \
		$(CC) $(CPPFLAGS) $(tests_CPPFLAGS) $(vhdfuse_CPPFLAGS) -Ivhdfsmap -Ivmbus -Istorvsp -Ivmm -I. $(ALL_CFLAGS) \
			-fsyntax-only -x c - || { \
			echo "$$h does not compile alone"; exit 1; }; \
	done
	@for h in $(libvhdx_PUBLIC); do \
		$(CC) -std=c99 -pedantic -Wall -Wextra -Werror -Ilibvhdx \
			-fsyntax-only -x c $$h || exit 1; \
		! command -v clang >/dev/null || clang -std=c++11 -Wall \
			-Wextra -Werror -Ilibvhdx -fsyntax-only -x c++ \
			$$h || exit 1; \
	done
	@echo "$(words $(HEADERS)) headers compile alone, the public ones as C99 and C++ too"

check-layers:
	@scripts/check-layers.sh

check-style:
	@scripts/check-style.sh

quickstart:
	+@scripts/deps.sh build
	+@scripts/quickstart.sh

# ---- installing ------------------------------------------------------------
# $(call put,MODE,DIR,FILES)
put = $(if $(strip $(3)),$(Q)install -d '$(DESTDIR)$(2)' && \
	install -m $(1) $(3) '$(DESTDIR)$(2)')

# The name that mount(8) and /etc/fstab look for.
put_mount = $(if $(filter %/vhdfuse,$(PROGRAMS)),$(Q)install -d \
	'$(DESTDIR)$(SBINDIR)' && ln -sfr '$(DESTDIR)$(BINDIR)/vhdfuse' \
	'$(DESTDIR)$(SBINDIR)/mount.vhdfuse')

pc_EDIT := -e 's|@prefix@|$(PREFIX)|; s|@version@|$(VERSION)|' \
	-e 's|@libdir@|$(LIBDIR)|; s|@includedir@|$(INCLUDEDIR)|'

install: all
	+$(Q)$(MAKE) --no-print-directory install-files

# What is built already, nothing else.
install-files:
	$(call put,755,$(BINDIR),$(PROGRAMS))
	$(call put,755,$(LIBEXECDIR),$(HELPERS))
	$(call put_mount)
	$(call put,644,$(INCLUDEDIR),$(libvhdx_PUBLIC))
	$(call put,644,$(LIBDIR),$(B)/libvhdx.a)
	$(call put,755,$(LIBDIR),$(B)/$(libvhdx_REAL))
	$(Q)ln -sf $(libvhdx_REAL) '$(DESTDIR)$(LIBDIR)/$(libvhdx_SONAME)'
	$(Q)ln -sf $(libvhdx_SONAME) '$(DESTDIR)$(LIBDIR)/libvhdx.so'
	$(Q)install -d '$(DESTDIR)$(LIBDIR)/pkgconfig'
	$(Q)sed $(pc_EDIT) libvhdx/libvhdx.pc.in \
		> '$(DESTDIR)$(LIBDIR)/pkgconfig/libvhdx.pc'
	$(call put,644,$(MANDIR)/man1,$(filter %.1,$(MAN_PAGES)))
	$(call put,644,$(MANDIR)/man3,$(filter %.3,$(MAN_PAGES)))
	$(call put,644,$(MANDIR)/man5,$(filter %.5,$(MAN_PAGES)))
	$(call put,644,$(COMPDIR),$(wildcard completions/*))
	@echo "installed under $(DESTDIR)$(PREFIX)"

uninstall:
	$(Q)rm -f $(PROGRAMS:$(B)/bin/%='$(DESTDIR)$(BINDIR)/%') \
		$(HELPERS:$(B)/bin/%='$(DESTDIR)$(LIBEXECDIR)/%') \
		'$(DESTDIR)$(SBINDIR)/mount.vhdfuse' \
		$(libvhdx_PUBLIC:libvhdx/%='$(DESTDIR)$(INCLUDEDIR)/%') \
		$(foreach f,a so $(libvhdx_SONAME:libvhdx.%=%) \
			$(libvhdx_REAL:libvhdx.%=%), \
			'$(DESTDIR)$(LIBDIR)/libvhdx.$(f)') \
		'$(DESTDIR)$(LIBDIR)/pkgconfig/libvhdx.pc' \
		$(foreach m,$(notdir $(MAN_PAGES)), \
			'$(DESTDIR)$(MANDIR)/man$(lastword $(subst ., ,$(m)))/$(m)') \
		$(patsubst completions/%,'$(DESTDIR)$(COMPDIR)/%', \
			$(wildcard completions/*))

clean:
	rm -rf build
