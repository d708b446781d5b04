package gateway

// handler carries out an operation whose request was authenticated and authorised. An error that it returns before the reply began becomes an error
// document; after that it cuts the connection.
type handler func(g *Gateway, c *call) error

var handlers = [opCount]handler{
	opListBuckets:             (*Gateway).listBuckets,
	opCreateBucket:            (*Gateway).createBucket,
	opHeadBucket:              (*Gateway).headBucket,
	opDeleteBucket:            (*Gateway).deleteBucket,
	opGetBucketLocation:       (*Gateway).getBucketLocation,
	opGetBucketVersioning:     (*Gateway).getBucketVersioning,
	opGetBucketACL:            (*Gateway).getBucketACL,
	opListObjects:             (*Gateway).listObjects,
	opListObjectsV2:           (*Gateway).listObjects,
	opListMultipartUploads:    (*Gateway).listMultipartUploads,
	opDeleteObjects:           (*Gateway).deleteObjects,
	opPutObject:               (*Gateway).putObject,
	opCopyObject:              (*Gateway).copyObject,
	opGetObject:               (*Gateway).getObject,
	opHeadObject:              (*Gateway).getObject,
	opDeleteObject:            (*Gateway).deleteObject,
	opGetObjectACL:            (*Gateway).getObjectACL,
	opGetObjectTagging:        (*Gateway).getObjectTagging,
	opCreateMultipartUpload:   (*Gateway).createMultipartUpload,
	opUploadPart:              (*Gateway).uploadPart,
	opUploadPartCopy:          (*Gateway).uploadPartCopy,
	opCompleteMultipartUpload: (*Gateway).completeMultipartUpload,
	opAbortMultipartUpload:    (*Gateway).abortMultipartUpload,
	opListParts:               (*Gateway).listParts,
	opPutBucketVersioning:     (*Gateway).putBucketVersioning,
	opListObjectVersions:      (*Gateway).listObjectVersions,
	opPutObjectTagging:        (*Gateway).putObjectTagging,
	opDeleteObjectTagging:     (*Gateway).deleteObjectTagging,
	opGetBucketTagging:        (*Gateway).getBucketTagging,
	opPutBucketTagging:        (*Gateway).putBucketTagging,
	opDeleteBucketTagging:     (*Gateway).deleteBucketTagging,
	opGetObjectAttributes:     (*Gateway).getObjectAttributes,
	opGetBucketRequestPayment: (*Gateway).getBucketRequestPayment,
	opPutBucketRequestPayment: (*Gateway).putBucketRequestPayment,
}
