package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"poolwire/backup"
	"poolwire/daemon/version"
	"poolwire/privatefile"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

func (a *app) backupCommand() *cobra.Command {
	c := &cobra.Command{Use: "backup", Short: "Save the state of the cluster, and bring it back"}
	c.AddCommand(a.backupSave(), a.backupInspect(), a.backupRestore(), a.backupMissing())
	return c
}

func (a *app) backupSave() *cobra.Command {
	return &cobra.Command{
		Use: "save FILE", Short: "Save the state of the cluster in a file", Args: cobra.ExactArgs(1),
		Long: `Save the state of the cluster in a file that only its owner can read, or write it
to standard output with '-'. It holds every change acknowledged before. A FILE that
is there already is replaced when the new one is whole.

Secrets in it are sealed: restoring them needs secrets.key, which is in no backup,
like the certificates in pki_dir. Save both elsewhere, once.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				data, err := download(ctx, api)
				if err != nil {
					return err
				}
				f, err := backup.Decode(data)
				if err != nil {
					return fmt.Errorf("what the server sent: %w", err)
				}
				if args[0] == "-" {
					_, err := a.streams.Out.Write(data)
					return err
				}
				if err := privatefile.Write(args[0], data); err != nil {
					return err
				}
				if a.structured() {
					return a.printMessage(f.Manifest)
				}
				a.say("saved %s, revision %d, %s", args[0], f.Manifest.GetRevision(), humanize.IBytes(uint64(len(data))))
				return nil
			})
		},
	}
}

// download gets a backup, no more of it than one may have.
func download(ctx context.Context, api *client) ([]byte, error) {
	in, err := api.backup.SaveBackup(ctx, &poolwirev1.SaveBackupRequest{})
	if err != nil {
		return nil, err
	}
	return backup.Receive(in)
}

func (a *app) backupInspect() *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE", Short: "Check a backup file and show what is in it, without a server", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, _, err := backup.ReadFile(args[0])
			if err != nil {
				return err
			}
			if err := a.printManifest(f.Manifest); err != nil {
				return err
			}
			if _, err := raftstore.OpenBackup(f); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if !a.structured() {
				a.say("checked   whole, and can be restored by version %s", version.Version)
			}
			return nil
		},
	}
}

func (a *app) printManifest(m *poolwirev1.BackupManifest) error {
	if a.structured() {
		return a.printMessage(m)
	}
	a.say("cluster   %s", strings.TrimSpace(m.GetClusterName()+" "+m.GetClusterUuid()))
	a.say("made      %s by node %s, version %s", moment(m.GetTime()), m.GetNodeId(), m.GetVersion())
	a.say("state     revision %d, epoch %d, %s", m.GetRevision(), m.GetEpoch(), humanize.IBytes(m.GetStateSize()))
	for _, table := range slices.Sorted(maps.Keys(m.GetObjects())) {
		a.say("          %d %s", m.GetObjects()[table], strings.ReplaceAll(table, "_", " "))
	}
	return nil
}

func (a *app) backupRestore() *cobra.Command {
	var keepGrants bool
	c := &cobra.Command{
		Use: "restore FILE", Short: "Bring a backup back, into a cluster in which nothing is registered", Args: cobra.ExactArgs(1),
		Long: `Bring a backup back, into a cluster in which nothing is registered: found one anew,
with the pki_dir and the secrets.key of the lost one. It takes the identity of the
lost cluster, so its hosts are taken over as they are; the nodes stay its own.

Make sure before that no node of the lost cluster runs. One that does is turned away
by the hosts that the new cluster has reached, and still controls the others.

What was taken away after the backup was made is back: grants, and certificates that
were revoked since are good again. --keep-grants leaves the grants of the backup out; revoke the
certificates again, all that are older than a time with 'poolwire pki revoke --kind client
--issued-before TIME', or replace the CA with 'poolwire pki rotate'. Tokens are not brought back.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, data, err := backup.ReadFile(args[0])
			if err != nil {
				return err
			}
			if _, err := raftstore.OpenBackup(f); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := upload(ctx, api, data, &poolwirev1.RestoreBackupRequest{KeepGrants: keepGrants})
				if err != nil {
					return err
				}
				made := moment(f.Manifest.GetTime())
				fmt.Fprintf(a.streams.Err, "warning: the backup is of %s: certificates that were revoked since are good again; revoke them anew (poolwire pki revoke)\n", made)
				if !keepGrants {
					fmt.Fprintf(a.streams.Err, "warning: grants that were taken away since are there again (poolwire access list)\n")
				}
				if a.structured() {
					return a.printMessage(r)
				}
				a.say("restored %s at revision %d", args[0], r.GetRevision())
				return nil
			})
		},
	}
	c.Flags().BoolVar(&keepGrants, "keep-grants", false, "leave the grants of the backup out; those that are there stay")
	return c
}

// upload puts the parts of a file down and restores them by the last request; after a failure it takes them
// away again as far as it can.
func upload(ctx context.Context, api *client, data []byte, last *poolwirev1.RestoreBackupRequest) (*poolwirev1.RestoreBackupResponse, error) {
	id, parts := rand.Text(), uint32(0)
	for part := range slices.Chunk(data, raftstore.MaxBackupPart) {
		if _, err := api.backup.StageBackup(ctx, &poolwirev1.StageBackupRequest{RestoreId: id, Index: parts, Data: part}); err != nil {
			return nil, discarded(ctx, api, id, err)
		}
		parts++
	}
	last.RestoreId, last.Parts = id, parts
	r, err := api.backup.RestoreBackup(ctx, last)
	if err != nil {
		return nil, discarded(ctx, api, id, err)
	}
	return r, nil
}

// discardTimeout bounds the tidying after a restore that failed.
const discardTimeout = 5 * time.Second

func discarded(ctx context.Context, api *client, id string, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	_, _ = api.backup.RestoreBackup(ctx, &poolwirev1.RestoreBackupRequest{RestoreId: id, Discard: true})
	return err
}

// missing is an object that the cluster does not know, or knows without intent.
type missing struct {
	Kind  string `json:"kind"`
	UUID  string `json:"uuid"`
	Name  string `json:"nameLabel,omitempty"`
	Found string `json:"found"`
}

var missingColumns = []column[missing]{
	{title: "KIND", value: func(m missing) string { return m.Kind }},
	{title: "UUID", value: func(m missing) string { return m.UUID }},
	{title: "NAME", value: func(m missing) string { return m.Name }},
	{title: "FOUND", value: func(m missing) string { return m.Found }},
}

func (a *app) backupMissing() *cobra.Command {
	return &cobra.Command{
		Use: "missing [FILE]", Short: "Name what hosts, or a backup, know of and the cluster does not", Args: cobra.MaximumNArgs(1),
		Long: `Name the objects that the cluster does not know and that something tells of: marks
of Poolwire on what hosts hold, those of hosts included that a lost cluster has
claimed; and with FILE, the objects of an old backup. Locks, rules and groups leave
no marks on hosts: of those only a backup tells.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var old *raftstore.View
			if len(args) > 0 {
				f, _, err := backup.ReadFile(args[0])
				if err != nil {
					return err
				}
				if old, err = raftstore.OpenBackup(f); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.backup.ListLeftovers(ctx, &poolwirev1.ListLeftoversRequest{})
				if err != nil {
					return err
				}
				list := missingOf(r)
				if old != nil {
					now, err := a.stateNow(ctx, api)
					if err != nil {
						return err
					}
					list = append(list, missingFrom(old, now)...)
				}
				return a.printMissing(list)
			})
		},
	}
}

// stateNow is the present state, from a backup of it.
func (a *app) stateNow(ctx context.Context, api *client) (*raftstore.View, error) {
	data, err := download(ctx, api)
	if err != nil {
		return nil, err
	}
	f, err := backup.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("what the server sent: %w", err)
	}
	return raftstore.OpenBackup(f)
}

func missingOf(r *poolwirev1.ListLeftoversResponse) []missing {
	out := []missing{}
	for _, l := range r.GetLeftovers() {
		out = append(out, missing{Kind: strings.ReplaceAll(l.GetKind(), "-", " "), UUID: l.GetUuid(), Found: fmt.Sprintf("on host %s: %s", l.GetHostUuid(), strings.Join(l.GetRows(), ", "))})
	}
	return out
}

// missingFrom compares what was asked for in two states.
func missingFrom(old, now *raftstore.View) []missing {
	var out []missing
	for _, m := range raftstore.MissingIntent(old, now) {
		found := "in the backup"
		if m.Known {
			found += "; hosts report it, nothing is asked for it"
		}
		out = append(out, missing{Kind: string(m.Kind), UUID: m.UUID, Name: m.Name, Found: found})
	}
	return out
}

func (a *app) printMissing(list []missing) error {
	if a.structured() {
		return a.printJSON(map[string][]missing{"missing": list})
	}
	if len(list) == 0 {
		a.say("nothing is missing")
		return nil
	}
	return printTable(a.streams.Out, list, missingColumns, a.flags.output == "wide")
}
