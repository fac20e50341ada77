# Manual pages, written in scdoc: NAME.SECTION.scd.
man_SRCS := $(sort $(wildcard man/*.scd))
ifeq ($(man_SRCS),)
else ifneq ($(call have_prog,$(SCDOC)),)
MAN_PAGES := $(man_SRCS:man/%.scd=$(B)/man/%)
else
$(call left_out,the manual pages are left out: scdoc is missing)
endif

$(B)/man/%: man/%.scd
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)$(SCDOC) < $< > $@
