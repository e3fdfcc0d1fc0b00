package northbound

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// changeService implements poolwire.v1.ChangeService.
type changeService struct {
	v1.UnsafeChangeServiceServer
	*Server
}

func resolveChange(id string, confirm bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ResolveChange{ResolveChange: &storev1.ResolveChange{Id: id, Confirm: confirm}}}
}

// resolution is a request to confirm or to undo. It can be repeated, but neither
// tried out nor be pending itself.
type resolution struct{ resolving }

// resolving is what the two requests share.
type resolving interface {
	repeatable
	GetId() string
}

// GetValidateOnly is always false (changing).
func (resolution) GetValidateOnly() bool { return false }

// GetConfirmWithin is always nil (changing).
func (resolution) GetConfirmWithin() *durationpb.Duration { return nil }

// ListPendingChanges returns the changes that wait for confirmation, oldest
// first.
func (s *changeService) ListPendingChanges(ctx context.Context, _ *v1.ListPendingChangesRequest) (*v1.ListPendingChangesResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out := &v1.ListPendingChangesResponse{}
	for _, c := range v.PendingChanges() {
		out.Changes = append(out.Changes, pendingChange(c))
	}
	// Ids are revisions in decimal: the longer one is the later one.
	slices.SortFunc(out.Changes, func(a, b *v1.PendingChange) int {
		if n := len(a.GetId()) - len(b.GetId()); n != 0 {
			return n
		}
		return strings.Compare(a.GetId(), b.GetId())
	})
	return out, nil
}

// pendingChange puts a change into the API's words.
func pendingChange(c *storev1.PendingChange) *v1.PendingChange {
	out := &v1.PendingChange{Id: c.GetId(), Revision: revisionIn(c.GetId()), Deadline: c.GetDeadline(), Author: c.GetAuthor()}
	for _, o := range c.GetObjects() {
		out.Summary = append(out.Summary, changedObject(o))
	}
	return out
}

// changedObject says in words what a change did to an object.
func changedObject(o *storev1.ChangedObject) string {
	verb := "changed"
	switch {
	case o.GetRemoved():
		verb = "deleted"
	case len(o.GetBefore()) == 0:
		verb = "created"
	}
	name := o.GetName()
	if name == "" {
		name = o.GetKey()
	}
	return tableWord(raftstore.Table(o.GetTable())) + " " + name + " " + verb
}

// tableWord is what the objects of a table are called.
func tableWord(t raftstore.Table) string {
	switch t {
	case raftstore.TablePools:
		return "pool"
	case raftstore.TableHosts:
		return "host"
	case raftstore.TableNetworks:
		return "network"
	case raftstore.TablePrivateNetworks:
		return "private network"
	case raftstore.TableVifs:
		return "VIF"
	case raftstore.TableRules:
		return "rule"
	case raftstore.TablePolicyRules:
		return "policy rule"
	case raftstore.TableAddressGroups:
		return "address group"
	case raftstore.TableVifGroups:
		return "VIF group"
	}
	return "object"
}

// ConfirmChange keeps a pending change for good.
func (s *changeService) ConfirmChange(ctx context.Context, req *v1.ConfirmChangeRequest) (*v1.ConfirmChangeResponse, error) {
	res, err := s.resolve(ctx, resolution{req}, true)
	if err != nil {
		return nil, err
	}
	return &v1.ConfirmChangeResponse{Revision: res.Revision}, nil
}

// RollbackChange undoes a pending change at once.
func (s *changeService) RollbackChange(ctx context.Context, req *v1.RollbackChangeRequest) (*v1.RollbackChangeResponse, error) {
	res, err := s.resolve(ctx, resolution{req}, false)
	if err != nil {
		return nil, err
	}
	return &v1.RollbackChangeResponse{Revision: res.Revision}, nil
}

func (s *changeService) resolve(ctx context.Context, req resolution, confirm bool) (outcome, error) {
	return s.write(ctx, mutation{asked: req, probe: resolveChange("", confirm),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			if req.GetId() == "" {
				return nil, missing("id", "the id of a pending change, which is the revision that the change returned")
			}
			if v.PendingChange(req.GetId()) == nil {
				return nil, notPending(v, req.GetId())
			}
			return resolveChange(req.GetId(), confirm), nil
		}})
}

// notPending says that no change with an id waits for confirmation. Ids are
// revisions: one that has been reached may have been a pending change's.
func notPending(v *raftstore.View, id string) error {
	var known []string
	for _, c := range v.PendingChanges() {
		known = append(known, c.GetId())
	}
	why := "there is no such pending change"
	if n := revisionIn(id); n > 0 && n <= v.Revision() {
		why = "no change with this id waits for confirmation: it did not ask for one, or was confirmed or undone before"
	}
	return unresolved("id", id, why+"; pending: "+listed(known))
}
