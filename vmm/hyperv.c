/* SPDX-License-Identifier: MIT */
/*
 * KVM keeps the SynIC's MSRs and tells of changes; the pages behind them are
 * plain guest memory, where a guest that is Linux has zeroed them.
 *
 * H1	A vp's pages are written under its lock, and the guest's change of them
 *	takes the same lock: once its WRMSR is over, nothing of ours writes to
 *	the old page.
 * H2	A signal that no page took is gone; a message is kept by who posts it.
 * H3	The guest may fill its pages before it enables the SynIC or gives it
 *	pages: when it does, what lies there is announced again.
 *
 * Interrupts: each vp has an irqfd on its HV_SINT route. The same GSI's
 * resamplefd is what KVM signals when the guest ends that interrupt or writes
 * EOM: time to try a slot again. All vps share it.
 */
#include "hyperv.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "err.h"
#include "hyperv_cpuid.h"
#include "hyperv_hcall.h"
#include "mem.h"
#include "synic.h"

#define GSI_IOAPIC 24u	/* routes as KVM has them by default */
#define GSI_PIC 16u	/* of which these reach the PIC as well */

enum {
	MSR_OS_ID = 0x40000000,
	MSR_VP_INDEX = 0x40000002,
	MSR_TSC_PAGE = 0x40000021,
	MSR_VP_ASSIST = 0x40000073,
	MSR_SCONTROL = 0x40000080,
	MSR_SIEFP = 0x40000082,
	MSR_SIMP = 0x40000083,
	MSR_SINT0 = 0x40000090,
};

#define SINT_MASKED UINT64_C(0x10000)

struct hyperv_vp {
	pthread_mutex_t lock;
	int vcpu_fd; /* borrowed; -1: not there yet */
	int irq_fd;
	uint64_t control, simp, siefp; /* as the guest wrote the MSRs */
};

struct hyperv {
	struct hyperv_conf conf;
	int slot_fd;
	unsigned init_cnt; /* vps that are there */
	bool apicv;
	struct kvm_cpuid2 *supported;
	struct hyperv_vp vp[];
};

/* ---- what KVM must have ------------------------------------------------- */

static const struct {
	int cap;
	const char *name;
} caps[] = {
	{ KVM_CAP_HYPERV_SYNIC2, "KVM_CAP_HYPERV_SYNIC2" },
	{ KVM_CAP_HYPERV, "KVM_CAP_HYPERV" },
	{ KVM_CAP_HYPERV_EVENTFD, "KVM_CAP_HYPERV_EVENTFD" },
	{ KVM_CAP_HYPERV_VP_INDEX, "KVM_CAP_HYPERV_VP_INDEX" },
	{ KVM_CAP_HYPERV_TIME, "KVM_CAP_HYPERV_TIME" },
	{ KVM_CAP_HYPERV_CPUID, "KVM_CAP_HYPERV_CPUID" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_IRQFD_RESAMPLE, "KVM_CAP_IRQFD_RESAMPLE" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
	{ KVM_CAP_ENABLE_CAP, "KVM_CAP_ENABLE_CAP" },
};

static int check_caps(int kvm_fd, struct vhdx_err *e)
{
	for (unsigned i = 0; i < ARRAY_LEN(caps); i++)
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, caps[i].cap) <= 0)
			return err_set(e, VHDX_E_UNSUPPORTED, "this host's KVM "
				       "is without %s: a kernel of 5.0 or "
				       "later with CONFIG_KVM_HYPERV is needed",
				       caps[i].name);
	return 0;
}

/* Where KVM does not tell, it is taken for a processor that can. */
static bool has_apicv(void)
{
	static const char *const paths[] = {
		"/sys/module/kvm_intel/parameters/enable_apicv",
		"/sys/module/kvm_amd/parameters/avic",
	};
	bool told = false;
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		FILE *f = fopen(paths[i], "re");
		int c = f ? fgetc(f) : EOF;
		if (f)
			fclose(f);
		if (c == 'Y' || c == '1')
			return true;
		told |= c == 'N' || c == '0';
	}
	return !told;
}

/* What KVM lists; the caller's, to be freed. */
static int get_cpuid(int fd, unsigned long request, struct kvm_cpuid2 **out,
		     struct vhdx_err *e)
{
	struct kvm_cpuid2 *c =
		mem_zalloc(sizeof(*c) + HYPERV_CPUID_MAX * sizeof(*c->entries));
	if (!c)
		return err_set(e, VHDX_E_NOMEM, "no memory for CPUID");
	c->nent = HYPERV_CPUID_MAX;
	if (ioctl(fd, request, c) < 0) {
		int en = errno;
		mem_free(c);
		return err_sys(e, en, "KVM_GET_SUPPORTED_%sCPUID",
			       request == KVM_GET_SUPPORTED_CPUID ? "" : "HV_");
	}
	*out = c;
	return 0;
}

int hyperv_create(const struct hyperv_conf *conf, struct hyperv **out,
		  struct vhdx_err *e)
{
	int rc = check_caps(conf->kvm_fd, e);
	if (rc)
		return rc;
	struct hyperv *h =
		mem_zalloc(sizeof(*h) + conf->cpu_cnt * sizeof(h->vp[0]));
	if (!h)
		return err_set(e, VHDX_E_NOMEM, "no memory for %u vCPUs",
			       conf->cpu_cnt);
	h->conf = *conf;
	h->apicv = has_apicv();
	for (unsigned i = 0; i < conf->cpu_cnt; i++) {
		pthread_mutex_init(&h->vp[i].lock, NULL);
		h->vp[i].vcpu_fd = h->vp[i].irq_fd = -1;
	}
	h->slot_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->slot_fd < 0) {
		rc = err_sys(e, errno, "an eventfd for message slots");
		goto fail;
	}
	rc = get_cpuid(conf->kvm_fd, KVM_GET_SUPPORTED_CPUID, &h->supported, e);
	if (rc)
		goto fail;
	*out = h;
	return 0;
fail:
	hyperv_destroy(h);
	return rc;
}

void hyperv_destroy(struct hyperv *h)
{
	if (!h)
		return;
	for (unsigned i = 0; i < h->conf.cpu_cnt; i++) {
		if (h->vp[i].irq_fd >= 0)
			close(h->vp[i].irq_fd);
		pthread_mutex_destroy(&h->vp[i].lock);
	}
	if (h->slot_fd >= 0)
		close(h->slot_fd);
	mem_free(h->supported);
	mem_free(h);
}

/* ---- interrupts --------------------------------------------------------- */

static void route_pin(struct kvm_irq_routing *r, unsigned gsi, unsigned chip,
		      unsigned pin)
{
	r->entries[r->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

static int set_routes(struct hyperv *h, struct vhdx_err *e)
{
	unsigned cnt = GSI_IOAPIC + GSI_PIC + h->conf.cpu_cnt;
	struct kvm_irq_routing *r =
		mem_zalloc(sizeof(*r) + cnt * sizeof(r->entries[0]));
	int rc = 0;
	if (!r)
		return err_set(e, VHDX_E_NOMEM, "no memory for GSI routes");
	for (unsigned i = 0; i < GSI_IOAPIC; i++)
		route_pin(r, i, KVM_IRQCHIP_IOAPIC, i);
	for (unsigned i = 0; i < GSI_PIC; i++)
		route_pin(r, i, i < 8 ? KVM_IRQCHIP_PIC_MASTER :
			  KVM_IRQCHIP_PIC_SLAVE, i % 8);
	for (unsigned i = 0; i < h->conf.cpu_cnt; i++)
		r->entries[r->nr++] = (struct kvm_irq_routing_entry){
			.gsi = GSI_IOAPIC + i,
			.type = KVM_IRQ_ROUTING_HV_SINT,
			.u.hv_sint = { .vcpu = i, .sint = HYPERV_SINT },
		};
	if (ioctl(h->conf.vm_fd, KVM_SET_GSI_ROUTING, r) < 0)
		rc = err_sys(e, errno, "KVM_SET_GSI_ROUTING of %u routes",
			     r->nr);
	mem_free(r);
	return rc;
}

static int set_irqfd(struct hyperv *h, unsigned vp, struct vhdx_err *e)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, errno, "an eventfd for vCPU %u", vp);
	h->vp[vp].irq_fd = fd;
	struct kvm_irqfd a = {
		.fd = (uint32_t)fd,
		.gsi = GSI_IOAPIC + vp,
		.flags = KVM_IRQFD_FLAG_RESAMPLE,
		.resamplefd = (uint32_t)h->slot_fd,
	};
	if (ioctl(h->conf.vm_fd, KVM_IRQFD, &a) < 0)
		return err_sys(e, errno, "KVM_IRQFD of GSI %u", a.gsi);
	return 0;
}

/* A route to a SINT needs the vCPU, its SynIC on: when all are there. */
static int set_interrupts(struct hyperv *h, struct vhdx_err *e)
{
	int rc = set_routes(h, e);
	for (unsigned i = 0; !rc && i < h->conf.cpu_cnt; i++)
		rc = set_irqfd(h, i, e);
	return rc;
}

static void poke(int fd)
{
	/* Fails only when the count is at its end: it is readable then. */
	(void)!eventfd_write(fd, 1);
}

/* ---- a vCPU ------------------------------------------------------------- */

static int set_cpuid(struct hyperv *h, unsigned vp, int vcpu_fd,
		     const struct kvm_cpuid2 *hv, struct vhdx_err *e)
{
	struct kvm_cpuid2 *c =
		mem_zalloc(sizeof(*c) + HYPERV_CPUID_MAX * sizeof(*c->entries));
	if (!c)
		return err_set(e, VHDX_E_NOMEM, "no memory for CPUID");
	struct hyperv_cpuid in = {
		.vp = vp,
		.cpu_cnt = h->conf.cpu_cnt,
		.tsc_deadline = ioctl(h->conf.vm_fd, KVM_CHECK_EXTENSION,
				      KVM_CAP_TSC_DEADLINE_TIMER) > 0,
		.apicv = h->apicv,
		.kvm = h->supported->entries,
		.kvm_cnt = h->supported->nent,
		.hv = hv->entries,
		.hv_cnt = hv->nent,
	};
	unsigned cnt = 0;
	int rc = hyperv_cpuid(&in, c->entries, &cnt, e);
	c->nent = cnt;
	if (!rc && ioctl(vcpu_fd, KVM_SET_CPUID2, c) < 0)
		rc = err_sys(e, errno, "KVM_SET_CPUID2 of vCPU %u", vp);
	mem_free(c);
	return rc;
}

static bool set_msr(int vcpu_fd, uint32_t index, uint64_t value)
{
	_Alignas(struct kvm_msrs) uint8_t raw[sizeof(struct kvm_msrs) +
					      sizeof(struct kvm_msr_entry)];
	struct kvm_msrs *m = (struct kvm_msrs *)(void *)raw;
	memset(raw, 0, sizeof(raw));
	m->nmsrs = 1;
	m->entries[0].index = index;
	m->entries[0].data = value;
	return ioctl(vcpu_fd, KVM_SET_MSRS, m) == 1;
}

int hyperv_vcpu_init(struct hyperv *h, unsigned vp, int vcpu_fd,
		     struct vhdx_err *e)
{
	ASSERT(vp < h->conf.cpu_cnt && h->vp[vp].vcpu_fd < 0);
	struct kvm_cpuid2 *hv;
	int rc = get_cpuid(vcpu_fd, KVM_GET_SUPPORTED_HV_CPUID, &hv, e);
	if (rc)
		return rc;
	rc = set_cpuid(h, vp, vcpu_fd, hv, e);
	mem_free(hv);
	if (rc)
		return rc;
	/* The second version leaves the pages alone. */
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPERV_SYNIC2 };
	if (ioctl(vcpu_fd, KVM_ENABLE_CAP, &cap) < 0)
		return err_sys(e, errno, "KVM_CAP_HYPERV_SYNIC2 of vCPU %u",
			       vp);
	if (!set_msr(vcpu_fd, MSR_VP_INDEX, vp))
		return err_set(e, VHDX_E_UNSUPPORTED, "KVM does not take %u "
			       "as the VP index of vCPU %u", vp, vp);
	h->vp[vp].vcpu_fd = vcpu_fd;
	return ++h->init_cnt == h->conf.cpu_cnt ? set_interrupts(h, e) : 0;
}

void hyperv_reset(struct hyperv *h)
{
	for (unsigned i = 0; i < h->conf.cpu_cnt; i++) {
		struct hyperv_vp *v = &h->vp[i];
		pthread_mutex_lock(&v->lock);
		v->control = v->simp = v->siefp = 0;
		pthread_mutex_unlock(&v->lock);
		/* What KVM does not take, the guest never had. */
		(void)!set_msr(v->vcpu_fd, MSR_SCONTROL, 0);
		(void)!set_msr(v->vcpu_fd, MSR_SIMP, 0);
		(void)!set_msr(v->vcpu_fd, MSR_SIEFP, 0);
		for (uint32_t k = 0; k < SYNIC_SINTS; k++)
			(void)!set_msr(v->vcpu_fd, MSR_SINT0 + k, SINT_MASKED);
		(void)!set_msr(v->vcpu_fd, MSR_VP_ASSIST, 0);
		(void)!set_msr(v->vcpu_fd, MSR_TSC_PAGE, 0);
		(void)!set_msr(v->vcpu_fd, MSR_OS_ID, 0);
	}
}

/* ---- the SynIC ---------------------------------------------------------- */

/* [v locked] The page in effect: none while the SynIC is off. */
static uint64_t in_effect(const struct hyperv_vp *v, uint64_t msr)
{
	return v->control & SYNIC_ENABLE ? msr : 0;
}

static void synic_changed(struct hyperv *h, unsigned vp, uint64_t control,
			  uint64_t simp, uint64_t siefp)
{
	struct hyperv_vp *v = &h->vp[vp];
	pthread_mutex_lock(&v->lock);
	v->control = control;
	v->simp = simp;
	v->siefp = siefp;
	bool waiting = synic_waiting(h->conf.mem, in_effect(v, simp),
				     in_effect(v, siefp), HYPERV_SINT);
	pthread_mutex_unlock(&v->lock);
	if (waiting)
		poke(v->irq_fd);
	poke(h->slot_fd);
}

void hyperv_exit(struct hyperv *h, unsigned vp, struct kvm_run *run)
{
	ASSERT(vp < h->conf.cpu_cnt);
	struct kvm_hyperv_exit *x = &run->hyperv;
	if (x->type == KVM_EXIT_HYPERV_SYNIC) {
		synic_changed(h, vp, x->u.synic.control, x->u.synic.msg_page,
			      x->u.synic.evt_page);
	} else if (x->type == KVM_EXIT_HYPERV_HCALL) {
		x->u.hcall.result = hyperv_hcall(&h->conf, x->u.hcall.input,
						 x->u.hcall.params[0]);
	}
}

bool hyperv_post(struct hyperv *h, unsigned vp, unsigned sint, uint32_t type,
		 const uint8_t *payload, uint32_t len)
{
	ASSERT(vp < h->conf.cpu_cnt);
	struct hyperv_vp *v = &h->vp[vp];
	pthread_mutex_lock(&v->lock);
	bool done = synic_put(h->conf.mem, in_effect(v, v->simp), sint, type,
			      payload, len);
	pthread_mutex_unlock(&v->lock);
	if (done && sint == HYPERV_SINT)
		poke(v->irq_fd);
	return done;
}

int hyperv_slot_fd(const struct hyperv *h)
{
	return h->slot_fd;
}

void hyperv_signal(struct hyperv *h, unsigned vp, unsigned sint, unsigned flag)
{
	ASSERT(vp < h->conf.cpu_cnt && sint == HYPERV_SINT);
	struct hyperv_vp *v = &h->vp[vp];
	pthread_mutex_lock(&v->lock);
	bool raise = synic_flag(h->conf.mem, in_effect(v, v->siefp), sint,
				flag);
	pthread_mutex_unlock(&v->lock);
	if (raise)
		poke(v->irq_fd);
}

int hyperv_bind(struct hyperv *h, uint32_t conn_id, int fd, bool on,
		struct vhdx_err *e)
{
	struct kvm_hyperv_eventfd a = {
		.conn_id = conn_id,
		.fd = on ? fd : -1,
		.flags = on ? 0 : KVM_HYPERV_EVENTFD_DEASSIGN,
	};
	if (ioctl(h->conf.vm_fd, KVM_HYPERV_EVENTFD, &a) < 0)
		return err_sys(e, errno, "KVM_HYPERV_EVENTFD of connection %u",
			       conn_id);
	return 0;
}
