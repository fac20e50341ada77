/* SPDX-License-Identifier: MIT */
/* The operations of joint_ops[] that have files of their own. */
#ifndef JOINT_OPS_H
#define JOINT_OPS_H

#include "joint.h"

bool joint_merge_plan(struct joint *j);
int joint_merge_run(struct joint *j, const struct opener *o, bool first,
		    struct vhdx_err *e) must_check;
bool joint_resize_plan(struct joint *j);
int joint_resize_run(struct joint *j, const struct opener *o, bool first,
		     struct vhdx_err *e) must_check;

#endif
