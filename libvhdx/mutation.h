/* SPDX-License-Identifier: MIT */
/*
 * The mutation knob. In ordinary builds MUTATED(x) is the constant false and
 * costs nothing. In the `mut` variant the crash suite switches one mutation on
 * at a time - each removes one sync or one ordering rule - and must fail.
 *
 * A line here: M(name, the rule it breaks). Guard the code with
 *	if (!MUTATED(NAME)) the_sync();
 */
#ifndef MUTATION_H
#define MUTATION_H

#define MUTATION_LIST(M) \
	M(COMMIT_PAYLOAD_SYNC, \
	  "C1 C3: payload and home writes are durable before the next entry") \
	M(COMMIT_LOG_SYNC, \
	  "C2: a log entry is durable before its pages go home") \
	M(COMMIT_HOME_SYNC, \
	  "C3: an entry is the tail until its pages are durable at home") \
	M(JOIN_FRESH, \
	  "C9: one sync for both only where their order cannot be seen") \
	M(LOG_BEFORE_GUID, \
	  "C4: LogGuid enters the headers after the entry that carries it") \
	M(CLOSE_HOME_SYNC, \
	  "C5: pages are durable at home before LogGuid is cleared") \
	M(PUBLISH_AFTER_PAYLOAD, \
	  "W1: a block enters the BAT only after its payload is written") \
	M(ZERO_REUSED_SPACE, \
	  "W2: stale space is zeroed before it is given out") \
	M(FREED_AFTER_COMMIT, \
	  "W3: freed space waits until its freeing is durable") \
	M(GROWTH_COUNTS, \
	  "W5: a log entry promises only a file size that is durable") \
	M(CLOSE_SHRINKS_LAST, \
	  "spare space goes only when no log can miss it") \
	M(SESSION_FIRST, \
	  "W4: new FileWriteGuid and DataWriteGuid before any change") \
	M(SESSION_VISIBLE, \
	  "W4: new DataWriteGuid before a change that a reader can see") \
	M(ITEMS_TOGETHER, \
	  "C7: metadata items and their table change in one log entry") \
	M(RELINK_PROVES, \
	  "no parent is recorded that is not proved to be the one") \
	M(VHD_RESIZE_BLANK, \
	  "E2: what comes into sight of a VHD is zeros before it does") \
	M(VHD_RESIZE_STRAYS, \
	  "E3: an entry behind the old end says nothing in a larger disk") \
	M(VHD_RESIZE_OLD_FOOTER, \
	  "F2: a fixed VHD's old footer is zeros before it is in sight") \
	M(RESIZE_TOGETHER, \
	  "Z1 Z4: size and entries change in one log entry") \
	M(RESIZE_BLANK, \
	  "Z2: the rest of the last block is zeros before it is in sight") \
	M(RESIZE_HIDE, \
	  "Z2: what comes into sight in a child is not its parent's") \
	M(RESIZE_BAT_FIRST, \
	  "Z3: a larger BAT is complete before it counts") \
	M(RESIZE_GIVES_LAST, \
	  "Z5: space is free after what gave it up is durable and home") \
	M(RECOVERY_GUID, \
	  "V1: a new FileWriteGuid before a byte is replayed") \
	M(HEADER_BOTH, \
	  "V3, C4: an update reaches both header copies") \
	M(CLEAR_OLD_BITS, \
	  "W6: a block that becomes partially present starts without bits") \
	M(BITS_AFTER_PAYLOAD, \
	  "W6: a sector's bit is set only after its payload is written") \
	M(BITS_WITH_ENTRY, \
	  "C7: a block's bits become durable together with its BAT entry") \
	M(OWNER_WHOLE_PIECES, \
	  "O3: a bound is noted for pieces that an answer covers whole") \
	M(OWNER_WHOLE_GRANULES, \
	  "O3: a layer is skipped only if it holds nothing of the granule") \
	M(OWNER_LEAF_ASKED, \
	  "O1: a leaf that may change is asked always") \
	M(WHOLE_ALONE, \
	  "W1: nobody publishes a child's block for a write that covers it") \
	M(COMPACT_COPY_FIRST, \
	  "K1: a moved block's entry changes after its copy is written") \
	M(COMPACT_NEVER_PARENT, \
	  "K4: a block dropped from a child never shows the parent's") \
	M(COMPACT_UNUSED_WHOLE, \
	  "K5 Q3: a block is unused only if all that it holds is") \
	M(COMPACT_BITMAP_NEEDED, \
	  "K6: a sector bitmap stays while a block needs it") \
	M(SHIFT_ZEROS, \
	  "Q1: what stays is copied, zeros too") \
	M(VHD_COMPACT_WHOLE, \
	  "Q1: a moved block's bitmap is copied before its entry changes") \
	M(VHD_COMPACT_KNOWN, \
	  "Q5: a gap is used only if no structure can be in it unseen") \
	M(VHD_COMPACT_OLD_PLACE, \
	  "Q2: what a block leaves is used again when that is durable") \
	M(VHD_COMPACT_BITS, \
	  "Q3: a child's block is dropped only if it is all the parent's") \
	M(VHD_COMPACT_FOOTER, \
	  "Q4: the footer is at the new end before the file is cut") \
	M(HEADER_SYNC, \
	  "a header copy is durable before the other is touched") \
	M(REPLAY_SYNC, \
	  "replayed bytes are durable before LogGuid is cleared") \
	M(REPLAY_IGNORES_CRC, \
	  "R1: an entry counts only if its checksum is right") \
	M(MERGE_JOURNAL_FIRST, \
	  "M1: a merge's journal is durable before anything is changed") \
	M(MERGE_ANNOUNCE, \
	  "M2: a child names its parent's new identity before that has it") \
	M(MERGE_IDENTITY, \
	  "M3: a merge gives its target the identity it announced") \
	M(MERGE_ZEROS, \
	  "M4: what reads as zeros in the child overwrites the target") \
	M(MERGE_CLOSED_FIRST, \
	  "M5: the merged content is durable before links move to it") \
	M(MERGE_CHILD_LAST, \
	  "M6: a merged child goes after its children are re-linked") \
	M(MERGE_CHILD_RELINKED, \
	  "M7: a child stands on the target before the layers between go") \
	M(MERGE_JOURNAL_LAST, \
	  "M7: a merge's journal goes when nothing is left to do") \
	M(MERGE_KNOWS_ID, \
	  "M8: a file is removed only if it is the one that was merged") \
	M(MERGE_FOREIGN_NEAR, \
	  "M8: a foreign journal counts only for what is in its folder") \
	M(VHD_SYNC_BEFORE_BAT, \
	  "V3: payload, bitmaps and growth are durable before the BAT") \
	M(VHD_SYNC_AFTER_BAT, \
	  "V4: the BAT is durable when a flush completes") \
	M(VHD_BAT_COVERED, \
	  "V5: a BAT sector publishes only what a sync has covered") \
	M(VHD_FOOTER_ALONE, \
	  "V6: no block is placed while the footer is being written") \
	M(VHD_TAIL_CUT, \
	  "V2: what a crash left behind the last block is cut off") \
	M(VHD_BITMAP_ONES, \
	  "V3: a published block's bitmap says that it holds data") \
	M(VHD_CHILD_BITS_CLEAR, \
	  "V9: a child's new block starts with every sector its parent's") \
	M(VHD_BITS_AFTER_SYNC, \
	  "V10: a bit is written only after a sync that covers its payload") \
	M(VHD_BITS_COUNT, \
	  "V10: bits that no round has captured are not durable yet") \
	M(VHD_BITS_CAPTURED, \
	  "V10: a bit that is set after that sync began is not written yet") \
	M(VHD_SYNC_AFTER_BITS, \
	  "V4: the bits are durable when a flush completes") \
	M(VHD_CHILD_ZEROES, \
	  "V11: zeroes are written down in a child, or the parent shows") \
	M(VHD_WRITES_COUNT, \
	  "V4: a write that ends after a sync began wants another one") \
	M(RAW_WRITES_COUNT, \
	  "a write that ends after a sync began wants another one") \
	M(MERGED_GO_AGAIN, \
	  "what a merged transfer did not move is moved again, one by one") \
	M(FIRST_FLUSH_SYNCS, \
	  "C6: the first flush syncs what a killed process had written") \
	M(VHD_HEADER_FIRST, \
	  "S1: a new header is durable before a footer names it") \
	M(VHD_END_FIRST, \
	  "S2: the footer at the end is durable before its copy changes") \
	M(VHD_COPY_FOLLOWS, \
	  "S3: the footer copy names the new header before blocks may follow") \
	M(BLK_CANCEL_WAITS, \
	  "G2: what the host has begun is waited for, given up or not") \
	M(BLK_CANCEL_ANSWERS, \
	  "G2: a request that is given up at the gate ends") \
	M(BLK_UNMAP_ALONE, \
	  "a discard or write-zeroes holds its range alone") \
	M(BLK_DRAIN_POSTED, \
	  "a drain waits for what was posted") \
	M(BLK_FUA_FLUSHES, \
	  "a request that asks to be durable ends after a flush") \
	M(COMMIT_FAIL_ANSWERS, \
	  "C8: a failure answers the flushes that wait") \
	M(ALLOC_FAIL_ANSWERS, \
	  "who waits for a block that cannot be made is told, all of them") \
	/* storvsp_unit.c */                                           \
	M(STORVSP_REOPEN_FLUSHES, \
	  "U2: a guest's disk is flushed before it is closed to be reopened")

#define MUTATION_ENUM(name, text) MUT_##name,
enum mutation { MUT_NONE, MUTATION_LIST(MUTATION_ENUM) MUT_CNT };
#undef MUTATION_ENUM

/* "HEADER_SYNC", and the rule it breaks. Static strings. */
const char *mutation_name(enum mutation m);
const char *mutation_text(enum mutation m);

#ifdef VHDKIT_MUTATE
extern enum mutation mutation_active;
#define MUTATED(name) (mutation_active == MUT_##name)
#else
#define MUTATED(name) 0
#endif

#endif
