"""What a person writes in forty lines of Keras: the script that `defaults.py` compares tinytrain with.

Adam at 2e-3 with half a cosine to 0, 64 images a step, flips and crops out of padded images, L2 of 1e-4 on the kernels,
and the best weights on val kept beside the last ones. It knows the network and the images alone, nothing of tinytrain.
"""

import tempfile

import keras
import numpy as np
import tensorflow as tf

BATCH, LR, L2 = 64, 2e-3, 1e-4


def augmented(images, labels):
    """Returns a batch mirrored at random and cropped at random out of images with an eighth of zeros around them."""
    side, channels = images.shape[1], images.shape[3]
    padding = side // 8
    images = tf.pad(tf.image.random_flip_left_right(images), [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    crop = tf.map_fn(lambda image: tf.image.random_crop(image, (side, side, channels)), images)
    return crop, labels


def scaled(images, labels):
    """Returns pixels in -1 to 1."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0, labels


def int8_top1(model, calibration, test):
    """Returns the top-1 of `model` quantized after training, on test images (N, H, W, C) uint8 with labels (N,)."""
    folder = tempfile.mkdtemp()
    model.export(folder, verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([scaled(image[None], 0)[0]] for image in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    (entry,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = entry["quantization"]
    right = 0
    for image, label in zip(*test, strict=True):
        values = np.round(scaled(image[None], 0)[0].numpy() / scale) + zero_point
        interpreter.set_tensor(entry["index"], np.clip(values, -128, 127).astype(np.int8))
        interpreter.invoke()
        right += int(interpreter.get_tensor(end["index"]).argmax() == label)
    return right / len(test[1])


def train(model, train, val, test, epochs, seed, folder):
    """Trains `model` in place and returns its top-1 on val and test, of the last epoch and of the best one on val.

    "int8" is that of the last epoch on test, quantized after training with 200 training images.

    train, val, test: (images (N, H, W, C) uint8, labels (N,)); folder: where the best weights are kept.
    """
    keras.utils.set_random_seed(seed)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            layer.kernel.regularizer = keras.regularizers.L2(L2)
    steps = len(train[0]) // BATCH
    batches = (
        tf.data.Dataset.from_tensor_slices(train).shuffle(len(train[0]), seed=seed).batch(BATCH, drop_remainder=True)
    )
    batches = batches.map(augmented).map(scaled).prefetch(2)
    images = test
    val, test = (tf.data.Dataset.from_tensor_slices(part).batch(256).map(scaled) for part in (val, test))
    rate = keras.optimizers.schedules.CosineDecay(LR, epochs * steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    best = folder / "best.weights.h5"
    keep = keras.callbacks.ModelCheckpoint(best, "val_accuracy", save_best_only=True, save_weights_only=True)
    history = model.fit(batches, shuffle=False, validation_data=val, epochs=epochs, callbacks=[keep], verbose=2).history
    last = model.evaluate(test, verbose=0, return_dict=True)["accuracy"]
    int8 = int8_top1(model, train[0][:200], images)
    model.load_weights(best)
    return {
        "last": {"val": history["val_accuracy"][-1], "test": last},
        "int8": {"test": int8},
        "best": {"val": float(np.max(history["val_accuracy"])), "test": model.evaluate(test, verbose=0)[1]},
    }
