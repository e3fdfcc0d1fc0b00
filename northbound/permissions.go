package northbound

import (
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	v1 "poolwire/proto/poolwire/v1"
)

// permissions has one line for every RPC, by its full method name: what is not here may be called by nobody.
// It is never changed.
var permissions = map[string]permission{
	v1.PoolService_GetPool_FullMethodName:    {RoleReadOnly, reachNetwork, effectRead},
	v1.PoolService_ListPools_FullMethodName:  {RoleReadOnly, reachNetwork, effectRead},
	v1.PoolService_CreatePool_FullMethodName: {RolePoolOperator, reachCluster, effectWrite},
	v1.PoolService_UpdatePool_FullMethodName: {RolePoolOperator, reachPool, effectWrite},
	v1.PoolService_DeletePool_FullMethodName: {RolePoolOperator, reachPool, effectWrite},

	v1.HostService_GetHost_FullMethodName:              {RoleReadOnly, reachNetwork, effectRead},
	v1.HostService_ListHosts_FullMethodName:            {RoleReadOnly, reachNetwork, effectRead},
	v1.HostService_CreateHost_FullMethodName:           {RolePoolOperator, reachPool, effectWrite},
	v1.HostService_UpdateHost_FullMethodName:           {RolePoolOperator, reachPool, effectWrite},
	v1.HostService_DeleteHost_FullMethodName:           {RolePoolOperator, reachPool, effectWrite},
	v1.HostService_ReleaseHost_FullMethodName:          {RolePoolOperator, reachPool, effectWrite},
	v1.HostService_IssueHostCertificate_FullMethodName: {RolePoolAdmin, reachCluster, effectWrite},

	v1.PifService_GetPif_FullMethodName:   {RoleReadOnly, reachNetwork, effectRead},
	v1.PifService_ListPifs_FullMethodName: {RoleReadOnly, reachNetwork, effectRead},

	v1.NetworkService_GetNetwork_FullMethodName:    {RoleReadOnly, reachNetwork, effectRead},
	v1.NetworkService_ListNetworks_FullMethodName:  {RoleReadOnly, reachNetwork, effectRead},
	v1.NetworkService_UpdateNetwork_FullMethodName: {RolePoolOperator, reachPool, effectWrite},

	v1.PrivateNetworkService_GetPrivateNetwork_FullMethodName:    {RoleReadOnly, reachNetwork, effectRead},
	v1.PrivateNetworkService_ListPrivateNetworks_FullMethodName:  {RoleReadOnly, reachNetwork, effectRead},
	v1.PrivateNetworkService_ListMulticastGroups_FullMethodName:  {RoleReadOnly, reachNetwork, effectRead},
	v1.PrivateNetworkService_CreatePrivateNetwork_FullMethodName: {RolePoolOperator, reachPool, effectWrite},
	v1.PrivateNetworkService_UpdatePrivateNetwork_FullMethodName: {RolePoolOperator, reachPool, effectWrite},
	v1.PrivateNetworkService_DeletePrivateNetwork_FullMethodName: {RolePoolOperator, reachPool, effectWrite},

	v1.AdoptionService_ListAdoptableNetworks_FullMethodName: {RoleReadOnly, reachCluster, effectRead},
	v1.AdoptionService_AdoptNetwork_FullMethodName:          {RolePoolOperator, reachCluster, effectWrite},

	v1.TunnelService_ListTunnels_FullMethodName:       {RoleReadOnly, reachPool, effectRead},
	v1.TunnelService_GetTunnelMatrix_FullMethodName:   {RoleReadOnly, reachPool, effectRead},
	v1.TunnelService_DescribeHostGuard_FullMethodName: {RoleReadOnly, reachCluster, effectRead},
	v1.TunnelService_RotateTunnelKeys_FullMethodName:  {RolePoolOperator, reachCluster, effectWrite},

	v1.VifService_GetVif_FullMethodName:    {RoleReadOnly, reachNetwork, effectRead},
	v1.VifService_ListVifs_FullMethodName:  {RoleReadOnly, reachNetwork, effectRead},
	v1.VifService_CreateVif_FullMethodName: {RolePoolOperator, reachCluster, effectWrite},
	v1.VifService_UpdateVif_FullMethodName: {RolePoolOperator, reachPool, effectWrite},
	v1.VifService_DeleteVif_FullMethodName: {RolePoolOperator, reachPool, effectWrite},

	v1.RuleService_GetRule_FullMethodName:    {RoleReadOnly, reachNetwork, effectRead},
	v1.RuleService_ListRules_FullMethodName:  {RoleReadOnly, reachNetwork, effectRead},
	v1.RuleService_AddRule_FullMethodName:    {RolePoolOperator, reachNetwork, effectWrite},
	v1.RuleService_RemoveRule_FullMethodName: {RolePoolOperator, reachNetwork, effectWrite},
	v1.RuleService_CreateRule_FullMethodName: {RolePoolOperator, reachNetwork, effectWrite},
	v1.RuleService_UpdateRule_FullMethodName: {RolePoolOperator, reachNetwork, effectWrite},
	v1.RuleService_DeleteRule_FullMethodName: {RolePoolOperator, reachNetwork, effectWrite},

	v1.PolicyService_GetPolicyRule_FullMethodName:      {RoleReadOnly, reachNetwork, effectRead},
	v1.PolicyService_ListPolicyRules_FullMethodName:    {RoleReadOnly, reachNetwork, effectRead},
	v1.PolicyService_GetEffectivePolicy_FullMethodName: {RoleReadOnly, reachNetwork, effectRead},
	v1.PolicyService_Explain_FullMethodName:            {RoleReadOnly, reachNetwork, effectRead},
	v1.PolicyService_GetRuleHits_FullMethodName:        {RoleReadOnly, reachNetwork, effectRead},
	v1.PolicyService_WatchDenied_FullMethodName:        {RoleReadOnly, reachNetwork, effectRead},
	v1.PolicyService_CreatePolicyRule_FullMethodName:   {RolePoolOperator, reachNetwork, effectWrite},
	v1.PolicyService_UpdatePolicyRule_FullMethodName:   {RolePoolOperator, reachNetwork, effectWrite},
	v1.PolicyService_DeletePolicyRule_FullMethodName:   {RolePoolOperator, reachNetwork, effectWrite},

	v1.AddressGroupService_GetAddressGroup_FullMethodName:    {RoleReadOnly, reachNetwork, effectRead},
	v1.AddressGroupService_ListAddressGroups_FullMethodName:  {RoleReadOnly, reachNetwork, effectRead},
	v1.AddressGroupService_CreateAddressGroup_FullMethodName: {RolePoolOperator, reachCluster, effectWrite},
	v1.AddressGroupService_UpdateAddressGroup_FullMethodName: {RolePoolOperator, reachCluster, effectWrite},
	v1.AddressGroupService_ModifyAddressGroup_FullMethodName: {RolePoolOperator, reachCluster, effectWrite},
	v1.AddressGroupService_DeleteAddressGroup_FullMethodName: {RolePoolOperator, reachCluster, effectWrite},

	v1.VifGroupService_GetVifGroup_FullMethodName:    {RoleReadOnly, reachNetwork, effectRead},
	v1.VifGroupService_ListVifGroups_FullMethodName:  {RoleReadOnly, reachNetwork, effectRead},
	v1.VifGroupService_CreateVifGroup_FullMethodName: {RolePoolOperator, reachCluster, effectWrite},
	v1.VifGroupService_UpdateVifGroup_FullMethodName: {RolePoolOperator, reachCluster, effectWrite},
	v1.VifGroupService_ModifyVifGroup_FullMethodName: {RolePoolOperator, reachCluster, effectWrite},
	v1.VifGroupService_DeleteVifGroup_FullMethodName: {RolePoolOperator, reachCluster, effectWrite},

	v1.ChangeService_ListPendingChanges_FullMethodName: {RoleReadOnly, reachNetwork, effectRead},
	v1.ChangeService_ConfirmChange_FullMethodName:      {RolePoolOperator, reachNetwork, effectWrite},
	v1.ChangeService_RollbackChange_FullMethodName:     {RolePoolOperator, reachNetwork, effectWrite},

	v1.FlowService_DumpFlows_FullMethodName: {RoleReadOnly, reachPool, effectRead},

	v1.ClusterService_GetClusterStatus_FullMethodName:      {RoleReadOnly, reachCluster, effectRead},
	v1.ClusterService_WaitForHosts_FullMethodName:          {RoleReadOnly, reachNetwork, effectRead},
	v1.ClusterService_ListNodes_FullMethodName:             {RoleReadOnly, reachCluster, effectRead},
	v1.ClusterService_GetNodeStatus_FullMethodName:         {RoleReadOnly, reachCluster, effectRead},
	v1.ClusterService_GetClusterSettings_FullMethodName:    {RoleReadOnly, reachCluster, effectRead},
	v1.ClusterService_AddNode_FullMethodName:               {RolePoolAdmin, reachCluster, effectWrite},
	v1.ClusterService_RemoveNode_FullMethodName:            {RolePoolAdmin, reachCluster, effectWrite},
	v1.ClusterService_PromoteNode_FullMethodName:           {RolePoolAdmin, reachCluster, effectWrite},
	v1.ClusterService_ReplaceNode_FullMethodName:           {RolePoolAdmin, reachCluster, effectWrite},
	v1.ClusterService_TransferLeadership_FullMethodName:    {RolePoolAdmin, reachCluster, effectWrite},
	v1.ClusterService_UpdateClusterSettings_FullMethodName: {RolePoolAdmin, reachCluster, effectWrite},
	v1.ClusterService_ReadRevision_FullMethodName:          {RoleNode, reachCluster, effectRead},

	v1.AuditService_ListAuditRecords_FullMethodName:   {RolePoolAdmin, reachCluster, effectRead},
	v1.AuditService_GetAuditRecord_FullMethodName:     {RolePoolAdmin, reachCluster, effectRead},
	v1.AuditService_WatchAuditRecords_FullMethodName:  {RolePoolAdmin, reachCluster, effectRead},
	v1.AuditService_ReadAuditChain_FullMethodName:     {RolePoolAdmin, reachCluster, effectRead},
	v1.AuditService_ReportRefusedCalls_FullMethodName: {RoleNode, reachCluster, effectWrite},

	v1.BackupService_ListLeftovers_FullMethodName:   {RoleReadOnly, reachCluster, effectRead},
	v1.BackupService_SaveBackup_FullMethodName:      {RolePoolAdmin, reachCluster, effectRead},
	v1.BackupService_StageBackup_FullMethodName:     {RolePoolAdmin, reachCluster, effectWrite},
	v1.BackupService_RestoreBackup_FullMethodName:   {RolePoolAdmin, reachCluster, effectWrite},
	v1.BackupService_TakeOverCluster_FullMethodName: {RolePoolAdmin, reachCluster, effectWrite},

	v1.WatchService_Watch_FullMethodName: {RoleReadOnly, reachNetwork, effectRead},

	v1.AccessService_WhoAmI_FullMethodName:      {RoleReadOnly, reachAnyone, effectRead},
	v1.AccessService_CreateGrant_FullMethodName: {RolePoolAdmin, reachPool, effectWrite},
	v1.AccessService_ListGrants_FullMethodName:  {RolePoolAdmin, reachPool, effectRead},
	v1.AccessService_DeleteGrant_FullMethodName: {RolePoolAdmin, reachPool, effectWrite},

	v1.TokenService_CreateToken_FullMethodName: {RoleReadOnly, reachNetwork, effectWrite},
	v1.TokenService_ListTokens_FullMethodName:  {RoleReadOnly, reachNetwork, effectRead},
	v1.TokenService_DeleteToken_FullMethodName: {RoleReadOnly, reachNetwork, effectWrite},

	v1.PkiService_IssueCertificate_FullMethodName:   {RolePoolAdmin, reachCluster, effectWrite},
	v1.PkiService_ListCertificates_FullMethodName:   {RoleReadOnly, reachCluster, effectRead},
	v1.PkiService_RevokeCertificate_FullMethodName:  {RolePoolAdmin, reachCluster, effectWrite},
	v1.PkiService_RenewCertificate_FullMethodName:   {RoleReadOnly, reachAnyone, effectWrite},
	v1.PkiService_RotateCa_FullMethodName:           {RolePoolAdmin, reachCluster, effectWrite},
	v1.PkiService_GetCaRotation_FullMethodName:      {RoleReadOnly, reachCluster, effectRead},
	v1.PkiService_PrepareCa_FullMethodName:          {RoleNode, reachCluster, effectWrite},
	v1.PkiService_RecordCertificates_FullMethodName: {RoleNode, reachCluster, effectWrite},
	v1.PkiService_SignCertificate_FullMethodName:    {RoleNode, reachCluster, effectWrite},

	healthv1.Health_Check_FullMethodName: {RoleReadOnly, reachAnyone, effectRead},
	healthv1.Health_List_FullMethodName:  {RoleReadOnly, reachAnyone, effectRead},
	healthv1.Health_Watch_FullMethodName: {RoleReadOnly, reachAnyone, effectRead},

	reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName:      {RoleReadOnly, reachAnyone, effectRead},
	reflectionv1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: {RoleReadOnly, reachAnyone, effectRead},
}
