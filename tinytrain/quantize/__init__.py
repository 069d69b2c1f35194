"""From a trained network to an int8 .tflite: rebuilt in tf_keras, fine-tuned under fake quantization, converted."""
