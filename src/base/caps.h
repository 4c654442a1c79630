/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every cap of the project in one place.
 *
 * Whatever another party can make us allocate, queue or count is bounded by a name from this list.
 */
#pragma once

/* Channel (src/proto). */
#define LIMIT_FRAME_PAYLOAD  (64u * 1024u) /* bytes of one frame without its header */
#define LIMIT_STREAM_WINDOW  (256u * 1024u) /* DATA bytes in flight per stream and direction */
#define LIMIT_STREAMS	     1024u /* open streams on one channel */
#define LIMIT_CLIENTS	     128u /* clients of one supervisor */
#define LIMIT_CLIENT_STREAMS 256u /* open streams of one client */
#define LIMIT_CLIENT_QUEUE   (64u * 1024u * 1024u) /* bytes waiting for one client */
#define LIMIT_RELAY_QUEUE    (256u * 1024u * 1024u) /* bytes waiting for all clients together */
#define LIMIT_FREEZE_MS	     60000u /* that a guest's root disk takes no writes */
#define LIMIT_CTRL_BACKLOG   (1024u * 1024u) /* queued non-DATA bytes of a slow peer */

/* Messages. */
#define LIMIT_ARGV	    1024u /* strings of one argument or environment list */
#define LIMIT_PATH	    4096u
#define LIMIT_HOSTNAME	    64u
#define LIMIT_USER	    256u
#define LIMIT_CA	    (16u * 1024u) /* certificate of an authority, as text */
#define LIMIT_HOST_CAS	    (512u * 1024u) /* certificates of the host for the guest, as text */
#define LIMIT_MOUNTS	    64u
#define LIMIT_RLIMITS	    16u
#define LIMIT_PORTS	    64u /* published by one sandbox */
#define LIMIT_VSOCKS	    16u /* sockets of the host that one sandbox may reach */
#define LIMIT_LABELS	    1024u /* of one sandbox or image */
#define LIMIT_LABEL_BYTES   (256u * 1024u) /* names and values together */
#define LIMIT_SCRIPTS	    64u
#define LIMIT_SCRIPT_BYTES  (256u * 1024u) /* of one script, fits its stream's window */
#define LIMIT_SCRIPTS_BYTES (512u * 1024u) /* of all scripts of a sandbox */
#define LIMIT_SIGNAL	    64u /* highest signal of Linux */
#define LIMIT_EXEC_BYTES    (60u * 1024u) /* argv + env of one exec, fits one frame */
#define LIMIT_CONSOLE	    (64u * 1024u) /* tail of the guest console kept for failure reports */
#define LIMIT_CONSOLE_LOG   (4u * 1024u * 1024u) /* kernel.log on disk */
#define LIMIT_EXEC_LOG	    (10u * 1024u * 1024u) /* one file of the log of commands */
#define LIMIT_LEDGER	    (16u * 1024u * 1024u) /* one file of the ledger of the network */

/* Machine. */
#define LIMIT_VCPUS	   64u
#define LIMIT_MEM_MIN_MIB  64u
#define LIMIT_MEM_MAX_MIB  (1024u * 1024u)
#define LIMIT_SHARES	   8u
#define LIMIT_DISKS	   7u
#define LIMIT_DISK_MOUNTS  5u /* two of the disks are the root's */
#define LIMIT_EXTENTS	   528u /* pieces of files that all disks of one machine are made of */
#define LIMIT_CMDLINE	   2048u
#define LIMIT_SANDBOX_NAME 128u

/* Root disk. */
#define LIMIT_ROOT_DISK_MIN_MIB 32u /* less than this leaves nothing beside the journal */
#define LIMIT_ROOT_DISK_MAX_MIB (4u * 1024u * 1024u)

/* Text. */
#define LIMIT_JSON_BYTES  (4u * 1024u * 1024u)
#define LIMIT_JSON_DEPTH  64u
#define LIMIT_JSON_VALUES (256u * 1024u) /* 32 bytes of memory each */
#define LIMIT_YAML_BYTES  (1024u * 1024u)
#define LIMIT_YAML_DEPTH  32u
#define LIMIT_YAML_NODES  (32u * 1024u)
