# The virtual machine monitor: x86-64, KVM. ACPI tables are compiled by iasl.
vmm_PKGS := jansson
vmm_SRCS := $(sort $(wildcard vmm/*.c))
vmm_OBJS := $(vmm_SRCS:%.c=$(B)/%.o)
vmm_TABLES := $(sort $(wildcard vmm/acpi/*.asl))
vmm_AML := $(vmm_TABLES:%.asl=$(B)/%.aml.o)
$(vmm_OBJS): MODCFLAGS := -Icommon -Ivmbus -Istorvsp \
	-DVHDKIT_VERSION='"$(VERSION)"' \
	$(shell $(PKG_CONFIG) --cflags $(vmm_PKGS) 2>/dev/null)
$(vmm_OBJS): libvhdx/version.h

# What several programs link beside the library.
base_OBJS := $(addprefix $(B)/libvhdx/,err.o guid.o mem.o mutation.o)
# Everything but main.c, for the tests too.
vmm_PARTS := $(filter-out $(B)/vmm/main.o,$(vmm_OBJS)) $(vmm_AML) \
	$(storvsp_OBJS) $(vmbus_OBJS) $(B)/libcommon.a

# One symbol pair a table: _binary_NAME_aml_start, _binary_NAME_aml_end.
$(B)/vmm/acpi/%.aml.o: vmm/acpi/%.asl
	@mkdir -p $(@D)
	$(call say,IASL,$<)
	$(Q)iasl -p $(B)/vmm/acpi/$*.aml $< > $(B)/vmm/acpi/$*.log 2>&1 || \
		{ cat $(B)/vmm/acpi/$*.log; false; }
	$(Q)cd $(@D) && $(LD) -r -b binary -z noexecstack -o $*.aml.o $*.aml

$(B)/bin/vmm: $(B)/vmm/main.o $(vmm_PARTS) $(base_OBJS) $(B)/libvhdx.a
	$(call link,$(shell $(PKG_CONFIG) --libs $(vmm_PKGS) 2>/dev/null))

vmm_LACKS := $(strip $(foreach p,$(vmm_PKGS),$(if \
	$(call have_pkg,$(p)),,$(p))) $(if $(call have_prog,iasl),,iasl) \
	$(if $(filter x86_64,$(shell uname -m)),,x86-64))
ifeq ($(vmm_LACKS),)
HEADERS += $(sort $(wildcard vmm/*.h))
PROGRAMS += $(B)/bin/vmm
else
$(call left_out,vmm is left out: missing $(vmm_LACKS))
endif
